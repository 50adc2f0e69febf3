"""
PollLimits: the limits for polling the shards of a fetch.

They contain no API key and no password, because they are sent over the cluster.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Self

from attrs import evolve, frozen

from .._account.postgres_account import PostgresAccount
from .._account.shared_limits import OtherLimits, check_account_limits
from .._account.sqlite_account import SQLiteAccount
from .._client import Client
from .._journal.sqlite_path import check_account_path
from .._models.argument_checks import check_nonnegative_seconds
from .._models.events import Event
from .._postgres.postgres_address import check_address, passwords
from .._transport.credentials import MissingApiKey


class UnusableSettings(ValueError):
    """The environment of this process has an invalid setting, such as a malformed API key."""


@contextmanager
def settings_checked() -> Generator[None, None, None]:
    """
    Turn a `ValueError` about a setting into `UnusableSettings`.

    A fetch can then tell it from a `ValueError` about one table or one shard.

    Raises:
        MissingApiKey: The environment has no API key.
        OtherLimits: The shared account already has other limits.
        UnusableSettings: A setting in the environment is invalid.
    """
    try:
        yield
    except (MissingApiKey, OtherLimits):
        raise
    except ValueError as error:
        raise UnusableSettings(str(error)) from None


@frozen(kw_only=True)
class PollLimits:
    """
    The limits for polling the tickets of a shard.

    Attributes:
        rate: The maximum number of polls a second. With a shared account, this is the maximum of
            all its clients together.
        account: The path or the address of the shared account; None without one.
        queue: The shared account's maximum number of queued generations; None for no limit. Polls
            do not need it, but all clients of a shared account must give the same limits.
        timeout: The maximum number of seconds to wait for each ticket.
    """

    rate: float | None = None
    account: str | None = None
    queue: int | None = 5
    timeout: float | None = None

    @classmethod
    def of(
        cls,
        *,
        rate: float | None,
        account: str | os.PathLike[str] | None,
        queue: int | None,
        timeout: float | None,
    ) -> Self:
        """
        Check the arguments of a caller, and return them as limits.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: An argument is out of its range, or the shared account's address is
                malformed or has a password.
        """
        check_account_limits(rate, queue)
        check_nonnegative_seconds("timeout", timeout, optional=True)
        return cls(rate=rate, account=locate_account(account), queue=queue, timeout=timeout)

    def share(self, parties: int) -> "PollLimits":
        """Return the limits for each shard if `parties` shards are polled at the same time."""
        if self.account is not None or self.rate is None:
            return self
        return evolve(self, rate=self.rate / parties)

    def make_client(self, on_event: Callable[[Event], object]) -> Client:
        """
        Make a client that keeps to these limits. It reads its API key from the environment.

        Raises:
            MissingApiKey: The environment has no API key.
            OtherLimits: The shared account already has other limits.
            UnusableSettings: A setting in the environment is invalid.
            AccountError: The shared account cannot be used.
        """
        with settings_checked():
            if self.account is None:
                return Client(rate=self.rate, on_event=on_event)
            kind = PostgresAccount if "://" in self.account else SQLiteAccount
            account = kind(self.account, rate=self.rate, queue=self.queue)
            return Client(account=account, on_event=on_event)


def locate_account(account: str | os.PathLike[str] | None) -> str | None:
    """
    Return the address of a shared account in a database, or the absolute path of its file.

    Raises:
        TypeError: The account is neither a path nor an address.
        ValueError: The path names no file, or the address is malformed or has a password. A
            password must not be sent over the cluster.
    """
    if account is None:
        return None
    if not isinstance(account, str) or "://" not in account:
        return check_account_path(account)
    check_address(account)
    if passwords(account):
        raise ValueError(
            "account is an address without a password, because it travels over the cluster; set "
            "PGPASSWORD on the workers, or write their ~/.pgpass"
        )
    return account
