"""The options `--account`, `--rate` and `--queue`, which limit what a command may send."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from attrs import field, frozen

from .. import SQLiteAccount
from .._account.shared_limits import MAX_ACCOUNT_LIMIT
from .._journal.sqlite_path import check_account_path
from .._postgres.postgres_address import (
    check_address,
    split_options,
    without_passwords,
)
from .options import F, NumberRange
from .shared_command_errors import MissingExtra
from .written_path_type import FileOrAddress

DEFAULT_QUEUE = 5


def _check_account_address(address: str) -> None:
    check_address(address)
    _, options = split_options(address, ("batch", "schema"))
    if "batch" in options:
        raise ValueError("an account has no batch; leave batch=NAME out of its address")


@frozen(kw_only=True)
class AccountLimits:
    """
    The limits on the polls and the submits of a command.

    Attributes:
        account: The file or the database address of a shared account. None if the command shares no
            limits. An address may contain a password.
        rate: The maximum number of polls a second. None for no limit.
        queue: The maximum number of generations that may be queued at the service at once.
    """

    account: Path | str | None = field(default=None, repr=False)
    rate: float | None = None
    queue: int = DEFAULT_QUEUE

    def client_arguments(self) -> dict[str, Any]:
        """
        Return the `Client` arguments that set these limits.

        This call creates the shared account if it does not exist yet.

        Raises:
            OtherLimits: Other processes use the shared account with different limits.
            ValueError: The address of the shared account is malformed.
            AccountError: The file or the database of the shared account cannot be used.
            MissingExtra: asyncpg is not installed.
        """
        limits: dict[str, Any] = {"rate": self.rate, "queue": self.queue}
        if self.account is None:
            return limits
        if isinstance(self.account, Path):
            return {"account": SQLiteAccount(self.account, **limits)}
        # Imported here, because few commands use a database.
        from .. import PostgresAccount  # noqa: PLC0415

        address, schema = split_options(self.account, ("schema",))
        limits |= schema
        try:
            return {"account": PostgresAccount(address, **limits)}
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error)) from None

    def flags(self) -> Iterator[str]:
        """Yield the options that give another command the same limits. Leave passwords out."""
        match self.account:
            case Path() as path:
                yield from ("--account", str(path))
            case str() as address:
                yield from ("--account", without_passwords(address))
        if self.rate is not None:
            yield from ("--rate", f"{self.rate:.15g}")
        if self.queue != DEFAULT_QUEUE:
            yield from ("--queue", str(self.queue))


def account_options(command: F) -> F:
    """
    Add `--account`, `--rate` and `--queue` to a command that polls.

    The command's function gets the values of these options as the argument `limits`.
    """
    return _with_account_options(command, is_submitting=False)


def submitting_account_options(command: F) -> F:
    """
    Add `--account`, `--rate` and `--queue` to a command that submits.

    The command's function gets the values of these options as the argument `limits`.
    """
    return _with_account_options(command, is_submitting=True)


def _with_account_options(command: F, *, is_submitting: bool) -> F:

    @functools.wraps(command)
    def with_limits(
        *arguments: Any, account: Path | str | None, rate: float | None, queue: int, **more: Any
    ) -> object:
        if not is_submitting and account is None and queue != DEFAULT_QUEUE:
            raise click.UsageError("--queue needs --account here, because nothing is submitted")
        limits = AccountLimits(account=account, rate=rate, queue=queue)
        return command(*arguments, limits=limits, **more)

    decorated: Any = with_limits
    for option in (
        click.option(
            "--queue",
            type=click.IntRange(1, MAX_ACCOUNT_LIMIT),
            default=DEFAULT_QUEUE,
            show_default=True,
            metavar="COUNT",
            help="How many generations your plan lets you have queued at once.",
        ),
        click.option(
            "--rate",
            type=NumberRange(min=0, min_open=True, max=float("inf"), max_open=True),
            metavar="POLLS",
            help="The maximum number of polls a second. Default: no limit.",
        ),
        click.option(
            "--account",
            type=FileOrAddress(check_account_path, _check_account_address),
            metavar="FILE",
            help=(
                "Share --queue, --rate and pauses with all processes that name the same account: a "
                "file for those of this machine, or 'postgresql://host/database' for those of many "
                "hosts. It is created if it does not exist. Give the same limits everywhere."
            ),
        ),
    ):
        decorated = option(decorated)
    shared: F = decorated
    return shared
