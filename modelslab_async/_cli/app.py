"""App: the group of commands, and how whatever goes wrong becomes one line and an exit code."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import click

from .. import ModelsLabError, __version__
from . import output
from .batch.group import batch
from .demo.command import demo
from .download import download
from .emulate import emulate
from .exit_codes import BROKEN_PIPE, INTERNAL_ERROR, USAGE, exit_code_for, exit_codes, explain
from .fetch_and_wait import fetch, wait
from .list_endpoints import endpoints
from .list_families import families
from .options import Interrupted, Settings, debug


class App(click.Group):
    """A group that leaves Ctrl-C and a reader who has gone to this module, not to click."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except BrokenPipeError:
            # Whatever is left in the buffer must not be written at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(BROKEN_PIPE)


@click.group(cls=App, epilog=exit_codes(), invoke_without_command=True)
@click.version_option(__version__, prog_name=output.PROGRAM)
@debug
@click.pass_context
def app(context: click.Context) -> None:
    """
    Await queued ModelsLab generations from the command line.

    The key is taken from the environment: MODELSLAB_API_KEY, and MODELSLAB_ENTERPRISE_API_KEY for
    enterprise families. `demo` and `emulate` need none.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE)


for _command in (fetch, wait, download, batch, families, endpoints, demo, emulate):
    app.add_command(_command)


class _OneLineFormatter(logging.Formatter):
    """A log record without its traceback, safe for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{output.PROGRAM}: {output.sanitize(record.getMessage())}"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    settings = Settings()
    _configure_output()
    try:
        code = app.main(arguments, prog_name=output.PROGRAM, standalone_mode=False, obj=settings)
    except Exception as error:  # noqa: BLE001 -- a user gets one line, whatever it is.
        if settings.debug:
            for line in traceback.format_exc().splitlines():
                click.echo(output.sanitize(line), err=True)
        return _report_error(error)
    return code if isinstance(code, int) else 0


def _configure_output() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # A character that cannot be read or shown is no reason to stop.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLineFormatter())
    logging.getLogger("modelslab_async").addHandler(handler)


def _report_error(error: Exception) -> int:
    """Say what went wrong in one line, and give the exit code."""
    match error:
        case click.UsageError(ctx=context):
            path = context.command_path if context else output.PROGRAM
            output.print_message(f"{error.format_message()} (see `{path} --help`)")
            return error.exit_code
        case click.ClickException():
            output.print_message(error.format_message())
            return error.exit_code
        case ModelsLabError():
            output.print_message(explain(error))
            return exit_code_for(error).code
        case _:
            output.print_message(
                f"{type(error).__name__}: {error}; this is a defect, --debug shows more"
            )
            return INTERNAL_ERROR
