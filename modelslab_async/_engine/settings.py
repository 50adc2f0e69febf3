"""Settings: the arguments of a client except its API keys, checked when the client is made."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from attrs import field, fields, frozen

from .._models.argument_checks import (
    check_callback,
    check_count,
    check_mapping,
    check_positive_seconds,
    check_rate,
    check_text,
    check_type,
)
from .._models.events import Event, Submitted
from .._registry.endpoint import Endpoint
from .._registry.endpoints import ENDPOINTS
from .._registry.families import FAMILIES
from .._registry.family import Family
from .._scheduling.pace_protocol import PacePolicy, check_pace
from .account_protocol import Account
from .base_urls import BASE_URL_VARIABLE, LEGACY_BASE_URL_VARIABLE, with_base_urls

# The number of slots of a client that gets neither `queue` nor `account`.
DEFAULT_QUEUE = 5


def _or_families(value: Mapping[str, Family] | None) -> Mapping[str, Family]:
    return FAMILIES if value is None else value


def _or_endpoints(value: Mapping[str, Endpoint] | None) -> Mapping[str, Endpoint]:
    return ENDPOINTS if value is None else value


@frozen(kw_only=True)
class Settings:
    """
    The arguments of a `Client`, except its API keys and its transport. `Client` documents them.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.
    """

    base_url: str | None
    legacy_base_url: str | None
    families: Mapping[str, Family] = field(converter=_or_families)
    endpoints: Mapping[str, Endpoint] = field(converter=_or_endpoints)
    pace: PacePolicy
    rate: float | None
    workers: int
    timeout: float
    queue: int | None
    account: Account | None
    submit_timeout: float
    unsent_timeout: float
    max_submits: int | None
    wait_timeout: float | None
    on_submitted: Callable[[Submitted], object] | None
    on_event: Callable[[Event], object] | None

    def __attrs_post_init__(self) -> None:
        check_text("base_url", self.base_url, default=BASE_URL_VARIABLE)
        check_text("legacy_base_url", self.legacy_base_url, default=LEGACY_BASE_URL_VARIABLE)
        check_mapping("families", self.families, Family)
        check_mapping("endpoints", self.endpoints, Endpoint)
        check_pace(self.pace)
        check_count("workers", self.workers)
        check_positive_seconds("timeout", self.timeout)
        check_count("queue", self.queue, unit="slots", optional=True)
        check_positive_seconds("submit_timeout", self.submit_timeout)
        check_positive_seconds("unsent_timeout", self.unsent_timeout)
        check_count("max_submits", self.max_submits, unit="submits", least=0, optional=True)
        if self.wait_timeout is not None:
            check_positive_seconds("wait_timeout", self.wait_timeout)
        check_rate("rate", self.rate, unit="polls")
        if self.account is not None:
            self._check_limits(self.account)
        check_callback("on_submitted", self.on_submitted, allow_async=True)
        check_callback("on_event", self.on_event, allow_async=False)

    def _check_limits(self, account: Account) -> None:
        """Check that the client's own limits do not contradict the limits of its shared account."""
        check_type(
            "account",
            account,
            Account,
            "an SQLiteAccount, a PostgresAccount or an object with their methods",
        )
        if self.rate not in (None, account.rate):
            raise ValueError(
                f"the account has rate={account.rate!r}, got rate={self.rate!r}; leave it out here"
            )
        if self.queue not in (DEFAULT_QUEUE, account.queue):
            raise ValueError(
                f"the account has queue={account.queue!r}, got queue={self.queue!r}; leave it out "
                "here"
            )

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """
        Make settings from a mapping of all arguments of a client.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of its range.
        """
        return cls(**{setting.name: arguments[setting.name] for setting in fields(cls)})

    def rooted_families(self) -> dict[str, Family]:
        """
        Return the families, with URLs that begin with the client's base URLs.

        Raises:
            ValueError: A base URL is not an http or https URL, or has a query or a password.
        """
        return with_base_urls(
            self.families, base_url=self.base_url, legacy_base_url=self.legacy_base_url
        )

    def default_families(self) -> dict[str, Family]:
        """
        Return the families, with URLs that begin with the default base URLs.

        Replies may contain the default URLs even if the client's base URL leads to a proxy.
        """
        return {name: family.with_hosts() for name, family in self.families.items()}

    def rooted_endpoints(self) -> dict[str, Endpoint]:
        """
        Return the endpoints, with URLs that begin with the client's base URLs.

        Raises:
            ValueError: A base URL is not an http or https URL, or has a query or a password.
        """
        return with_base_urls(
            self.endpoints, base_url=self.base_url, legacy_base_url=self.legacy_base_url
        )
