"""Options: what commands share. No option takes a key: it would stay in the shell's history."""

import importlib
import math
from collections.abc import Callable
from typing import Any, TypeVar

import click
from attrs import define

from .. import FAMILIES
from .._downloads.manager import DEFAULT_MAX_BYTES
from .._journal.exports import ExportFormat, format_from_path
from .exit_codes import INTERRUPTED, USAGE
from .option_names import with_option_names

F = TypeVar("F", bound=Callable[..., object])


@define
class Settings:
    """What the whole program goes by."""

    debug: bool = False


class NumberRange(click.FloatRange):
    """A range of numbers; "nan" is in none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


class Interrupted(click.ClickException):
    """Ctrl-C, with what it left undone."""

    exit_code = INTERRUPTED


class MissingExtra(click.ClickException):
    """What the command needs is not installed."""

    exit_code = USAGE


def _parse_range(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> tuple[float, float]:
    """`2:6`, from two seconds to six, or `3`, always three."""
    first, _, last = value.partition(":")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low, high = 1.0, 0.0
    # Written so that nan fails as well.
    if not 0 <= low <= high < float("inf"):
        raise click.BadParameter(f"{value!r} is no range of seconds such as 2:6")
    return low, high


def _set_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001
    context.ensure_object(Settings).debug |= value


def complete_family(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The families that a shell may complete to."""
    return [name for name in FAMILIES if name.startswith(incomplete)]


def complete_ticket(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The beginnings of tickets that a shell may complete to."""
    return [f"{name}:" for name in FAMILIES if f"{name}:".startswith(incomplete)]


tickets = click.argument(
    "tickets", metavar="TICKET...", nargs=-1, required=True, shell_complete=complete_ticket
)
debug = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_debug,
    help="Show a traceback where something goes wrong.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON lines on a terminal too."
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


def failure_rate(default: float) -> Callable[[F], F]:
    """The option `--failing`."""
    return click.option(
        "--failure-rate",
        type=NumberRange(0, 1),
        default=default,
        show_default=True,
        help="The share of jobs that fail.",
    )


def host_options(command: F) -> F:
    """The options that say where the service is."""
    legacy = click.option(
        "--legacy-base-url",
        metavar="URL",
        help="Where its older host is; else MODELSLAB_LEGACY_BASE_URL.",
    )
    base = click.option(
        "--base-url", metavar="URL", help="Where the service is; else MODELSLAB_BASE_URL."
    )
    return base(legacy(command))


def download_options(command: F) -> F:
    """The options of every command that saves files."""
    for option in (
        click.option(
            "--allow-private",
            is_flag=True,
            help="Allow plain http and addresses that are not public, as the emulator's.",
        ),
        click.option(
            "--link-timeout",
            type=NumberRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="How long a file may need to appear behind its link; 0 for links of old results.",
        ),
        click.option(
            "--max-bytes",
            type=click.IntRange(min=1),
            default=DEFAULT_MAX_BYTES,
            show_default=True,
            metavar="BYTES",
            help="The most bytes of a file; one that has more is not saved.",
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(min=1),
            default=8,
            show_default=True,
            help="How many transfers may be on their way at once.",
        ),
    ):
        command = option(command)
    return command


def check_export_format(file: str, file_format: str | None = None) -> ExportFormat:
    """
    The form of an export.

    Raises:
        click.UsageError: Nothing says it.
        Unusable: What it needs is not installed.
    """
    try:
        export_format = format_from_path(file if file_format is None else f"out.{file_format}")
    except ValueError as error:
        raise click.UsageError(with_option_names(str(error))) from None
    if export_format == "parquet":
        try:
            importlib.import_module("pyarrow")
        except ModuleNotFoundError:
            raise MissingExtra(
                "an export as Parquet needs pyarrow; install it with: "
                'pip install "modelslab-async[parquet]"'
            ) from None
    return export_format


def require_emulator() -> None:
    """
    Make sure that the emulator can be imported.

    Raises:
        Unusable: It cannot; the message says what to install.
    """
    try:
        from .. import emulator  # noqa: F401, PLC0415 -- an extra.
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing)) from None
