"""Options and checks that several commands share. No option takes an API key."""

# An API key on the command line would stay in the shell's history, and other users of the machine
# could see it.
import math
from collections.abc import Callable
from typing import Any, TypeVar

import click
from attrs import define

from .argument_completers import complete_ticket

F = TypeVar("F", bound=Callable[..., object])
"""The function of a command. A decorator that adds options returns a function of the same type."""


@define
class ProgramSettings:
    """The settings that apply to all commands."""

    debug: bool = False


class NumberRange(click.FloatRange):
    """The type of an option: a number in a range. Unlike `click.FloatRange`, it refuses "nan"."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn the option's text into a number within the range."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


def _parse_range(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> tuple[float, float]:
    """Parse a range of seconds: `2:6` means two to six, and `3` means exactly three."""
    first, _, last = value.partition(":")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low, high = 1.0, 0.0
    # The comparison also refuses "nan", because every comparison with "nan" is false.
    if not 0 <= low <= high < float("inf"):
        raise click.BadParameter(f"{value!r} is no range of seconds such as 2:6")
    return low, high


def _set_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001
    context.ensure_object(ProgramSettings).debug |= value


tickets = click.argument(
    "tickets", metavar="TICKET...", nargs=-1, required=True, shell_complete=complete_ticket
)
debug = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the traceback of an error.",
)
duration = click.option(
    "--duration",
    callback=_parse_range,
    metavar="SECONDS[:SECONDS]",
    default="2:6",
    show_default=True,
    help="How long jobs take: a range of seconds, evenly drawn.",
)
seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed makes the same jobs."
)


def json_option(help_text: str = "Print JSON lines on a terminal too.") -> Callable[[F], F]:
    """Make the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def timeout_option(
    advice: str, *, allows_zero: bool = True, bounds: str = "to wait for each ticket"
) -> Callable[[F], F]:
    """Make the option `--timeout`. `bounds` and `advice` are parts of its help text."""
    return click.option(
        "--timeout",
        type=NumberRange(min=0, min_open=not allows_zero),
        metavar="SECONDS",
        help=f"The longest time {bounds}; {advice}.",
    )


def failure_rate(default: float) -> Callable[[F], F]:
    """Make the option `--failure-rate` with this default."""
    return click.option(
        "--failure-rate",
        type=NumberRange(0, 1),
        default=default,
        show_default=True,
        help="The share of jobs that fail.",
    )


def host_options(command: F) -> F:
    """Add the options for the base URLs of the service."""
    legacy = click.option(
        "--legacy-base-url",
        metavar="URL",
        help="The base URL of the legacy families. Default: MODELSLAB_LEGACY_BASE_URL.",
    )
    base = click.option(
        "--base-url",
        metavar="URL",
        help="The base URL of the service. Default: MODELSLAB_BASE_URL.",
    )
    return base(legacy(command))


def download_options(command: F) -> F:
    """Add the options that are common to all commands that save files."""
    from .._downloads.downloads import DEFAULT_MAX_BYTES  # noqa: PLC0415 -- it imports httpx.

    for option in (
        click.option(
            "--allow-private",
            is_flag=True,
            help="Allow links to plain http and to private addresses, such as the emulator's.",
        ),
        click.option(
            "--link-timeout",
            type=NumberRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait until a file appears behind its link; 0 for old results.",
        ),
        click.option(
            "--max-bytes",
            type=click.IntRange(min=1),
            default=DEFAULT_MAX_BYTES,
            show_default=True,
            metavar="BYTES",
            help="The size of the largest file that is saved.",
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(min=1),
            default=8,
            show_default=True,
            help="The largest number of simultaneous downloads.",
        ),
    ):
        command = option(command)
    return command
