"""Webhooks: how an emulator's webhooks behave. A description and nothing else."""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import httpx
from attrs import Attribute, field, frozen


def _check_share(_instance: object, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is a share from 0.0 to 1.0, got {value!r}")


def _check_copies(_instance: object, _attribute: object, value: int) -> None:
    if value < 1:
        raise ValueError(f"copies is at least 1 (lost=1.0 delivers none), got {value!r}")


def _as_range(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


def _check_range(_instance: object, _attribute: object, value: tuple[float, float]) -> None:
    if not 0 <= value[0] <= value[1]:
        raise ValueError(
            f"delay is seconds of at least 0, or (shortest, longest) of them, got {value!r}"
        )


@frozen(kw_only=True)
class Webhooks:
    """
    How the webhooks of an emulator behave. As it stands, each is delivered once, when its job ends.

    Shares are of jobs, from 0 to 1.

    Args:
        delay: How many seconds after the end of its job a webhook is late, or a range of them.
        copies: How often each is delivered.
        never: The share that is not delivered at all.
        forged: The share that has a forged one before it, halfway through the job: a success that
            never was, with a link to nowhere.
        before_reply: The share whose submit is only answered once its webhook has been delivered.
        workflow: Which of the two documented shapes the webhooks of workflows have.
        anywhere: Whether to deliver to other addresses than the loopback ones.
        transport: What delivers them, such as an `httpx.ASGITransport` of your own application;
            None: the network.
        seed: Where the draws start.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> Webhooks(delay=(0.0, 5.0), copies=2, lost=0.1).copies
        2
    """

    delay: tuple[float, float] = field(
        default=(0.0, 0.0), converter=_as_range, validator=_check_range
    )
    copies: int = field(default=1, validator=_check_copies)
    lost: float = field(default=0.0, validator=_check_share)
    forged: float = field(default=0.0, validator=_check_share)
    before_reply: float = field(default=0.0, validator=_check_share)
    workflow_format: Literal["nested", "flat"] = "nested"
    allow_remote: bool = False
    transport: httpx.AsyncBaseTransport | None = None
    seed: int = 0

    def may_deliver_to(self, url: str) -> bool:
        """Whether a webhook may be delivered there."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not host:
            return False
        return self.allow_remote or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    # No name is looked up: what it leads to may change until it is used.
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
