"""Errors that can end several commands. Their messages show no API key."""

import click

from .._account.shared_limits import OtherLimits
from .exit_codes_and_advice import INTERRUPTED, USAGE


class Interrupted(click.ClickException):
    """Ctrl-C or SIGTERM stopped the command. The message says how to resume."""

    # After SIGTERM, the program returns 143 instead: see `StopSignals.exit_code`.
    exit_code = INTERRUPTED


class MissingExtra(click.ClickException):
    """The command needs a package that is not installed."""

    exit_code = USAGE


def other_limits_error(error: OtherLimits) -> click.UsageError:
    """Return the error for limits that differ from those of the shared account's other clients."""
    return click.UsageError(f"{error}; --rate and --queue set the limits of this command")


def missing_pyarrow(need: str) -> MissingExtra:
    """Return the error for a missing pyarrow. `need` names the action that needs it."""
    return MissingExtra(
        f'{need} needs pyarrow; install it with: pip install "modelslab-async[parquet]", or '
        "pip install pyarrow if you run from a clone"
    )


def require_emulator() -> None:
    """
    Check that the emulator can be imported.

    Raises:
        MissingExtra: A package that the emulator needs is missing. The message says which.
    """
    try:
        from .. import emulator  # noqa: F401, PLC0415 -- an extra.
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing)) from None
