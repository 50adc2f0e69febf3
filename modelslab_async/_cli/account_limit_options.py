"""The options `--account`, `--rate` and `--queue`, which limit what a command may send."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from .. import SQLiteAccount
from .options import F, NumberRange

DEFAULT_QUEUE = 5


@frozen(kw_only=True)
class AccountLimits:
    """
    The limits that a command keeps to.

    Attributes:
        path: The account file, through which this process shares the limits with other processes.
            None if the command shares no limits.
        rate: The maximum number of polls a second. None for no limit.
        queue: The maximum number of generations that may be queued at the service at once.
    """

    path: Path | None = None
    rate: float | None = None
    queue: int = DEFAULT_QUEUE

    def client_arguments(self) -> dict[str, Any]:
        """
        Return the `Client` arguments that set these limits. Create the account file if needed.

        Raises:
            ValueError: Other processes have opened the account with other limits.
            AccountError: The file cannot be used.
        """
        if self.path is None:
            return {"rate": self.rate, "queue": self.queue}
        return {"account": SQLiteAccount(self.path, rate=self.rate, queue=self.queue)}

    def flags(self) -> Iterator[str]:
        """Yield the command-line options that give another command the same limits."""
        if self.path is not None:
            yield from ("--account", str(self.path))
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
        *arguments: Any, account: Path | None, rate: float | None, queue: int, **more: Any
    ) -> object:
        if not is_submitting and account is None and queue != DEFAULT_QUEUE:
            raise click.UsageError("--queue needs --account here, because nothing is submitted")
        limits = AccountLimits(path=account, rate=rate, queue=queue)
        return command(*arguments, limits=limits, **more)

    decorated: Any = with_limits
    for option in (
        click.option(
            "--queue",
            type=click.IntRange(min=1),
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
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help=(
                "Share --queue, --rate and pauses with all processes of this machine that name "
                "this file. It is created if it does not exist. Give the same limits everywhere."
            ),
        ),
    ):
        decorated = option(decorated)
    shared: F = decorated
    return shared
