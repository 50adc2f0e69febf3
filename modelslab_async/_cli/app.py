"""Defines the program `modelslab-async`. It prints tracebacks only with `--debug`."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any, Final

import click

from .. import ModelsLabError, __version__
from .._account.shared_limits import OtherLimits
from . import output
from .exit_codes_and_advice import (
    BROKEN_PIPE,
    INTERNAL_ERROR,
    SUBMIT_CODES,
    USAGE,
    exit_code_for,
    exit_codes,
    explain,
)
from .lazy_command_group import CommandGroup, CommandSource
from .options import ProgramSettings, debug
from .shared_command_errors import Interrupted, other_limits_error
from .standard_output import replace_standard_output
from .stop_signals import stop_signals

_LAST_STANDARD_DESCRIPTOR: Final = 2


class App(CommandGroup):
    """The group of all commands. Changes how click handles interrupts and a closed pipe."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except OtherLimits as error:
            # When a client starts, it compares its limits again with those in the shared account.
            # So this error can occur even after `make_client` has succeeded.
            raise other_limits_error(error) from None
        except BrokenPipeError:
            ctx.exit(BROKEN_PIPE)


_COMMANDS = {
    "batch": CommandSource("app.batch", "Run many tickets with a journal"),
    "demo": CommandSource(
        "demo.demo_command.demo", "Await many tickets of all families at once, without a key"
    ),
    "download": CommandSource(
        "download_command.download", "Wait until every TICKET has ended, and save its files"
    ),
    "emulate": CommandSource("emulate.emulate", "Serve an emulator of the service on this machine"),
    "endpoints": CommandSource(
        "list_endpoints.endpoints", "List all endpoints and their parameters"
    ),
    "families": CommandSource(
        "list_families.families", "List the API families that tickets can belong to"
    ),
    "fetch": CommandSource("fetch_and_wait.fetch", "Poll TICKET once and print the reply"),
    "generate": CommandSource(
        "generate.generate", "Start a generation, wait until it has ended, and save its files"
    ),
    "wait": CommandSource(
        "fetch_and_wait.wait", "Wait until every TICKET has ended, and print the outcomes"
    ),
}
_BATCH_COMMANDS = {
    "copy": CommandSource(
        "batch.copy_command.copy", "Copy a journal from a file to a database, or back"
    ),
    "export": CommandSource("batch.journal_commands.export", "Write all outcomes to FILE"),
    "report": CommandSource("report.report_command.report", "Write a page with plots of a batch"),
    "retry": CommandSource(
        "batch.run_and_retry_commands.retry",
        "Poll unresolved tickets again, and failed ones with --failed",
    ),
    "run": CommandSource(
        "batch.run_and_retry_commands.run_command",
        "Wait for all tickets of IDS, or resume an earlier run",
    ),
    "schema": CommandSource(
        "batch.postgres_schema_command.schema",
        "Print the SQL that creates the tables in PostgreSQL, or brings older ones up to date",
    ),
    "status": CommandSource("batch.journal_commands.status", "Show how far a batch is"),
    "submit": CommandSource(
        "batch.submit_command.submit",
        "Start a generation for each row of TABLE, wait for all, and save their files",
    ),
    "uncertain": CommandSource(
        "batch.uncertain_command.uncertain",
        "List the submits that may or may not have started work",
    ),
    "verify": CommandSource(
        "batch.journal_commands.verify", "Compare the saved files with the journal"
    ),
}


@click.group(
    cls=App,
    sources=_COMMANDS,
    epilog=exit_codes(
        SUBMIT_CODES, success="success; for `fetch` also a job that is still running"
    ),
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name=output.PROGRAM)
@debug
@click.pass_context
def app(context: click.Context) -> None:
    """
    Await queued ModelsLab generations from the command line.

    The key is taken from the environment: MODELSLAB_API_KEY, and MODELSLAB_ENTERPRISE_API_KEY for
    enterprise families. `demo` and `emulate` need no key.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE)


@click.group(cls=CommandGroup, sources=_BATCH_COMMANDS)
@debug
def batch() -> None:
    """
    Run many tickets with a journal.

    The journal is a file or a database that keeps the progress, even if the program is killed.
    `batch run ids.txt --out folder` waits for tickets and saves their files. `batch submit` first
    starts a generation for each row of a table. Run the same command again to resume.
    """


class _OneLineFormatter(logging.Formatter):
    """Formats a log record as one line, without a traceback and without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return output.message_line(record.getMessage())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    settings = ProgramSettings()
    _reserve_standard_descriptors()
    _configure_output()
    try:
        code = app.main(arguments, prog_name=output.PROGRAM, standalone_mode=False, obj=settings)
    except Exception as error:  # noqa: BLE001 -- every error becomes one line for the user.
        if settings.debug:
            for line in traceback.format_exc().splitlines():
                click.echo(output.sanitize(output.redact(line)), err=True)
        return _report_error(error)
    return code if isinstance(code, int) else 0


def _reserve_standard_descriptors() -> None:
    """
    Open the null device on each standard descriptor that is closed.

    Otherwise, the next file that the process opens would get this descriptor. If that file belonged
    to an event loop, uvloop would abort the process. If standard output or standard error was
    closed, its output is discarded.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _configure_output() -> None:
    replace_standard_output()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Use escape sequences for characters that cannot be decoded or printed. By default, Python
        # raises an error for them.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLineFormatter())
    logging.getLogger("modelslab_async").addHandler(handler)


def _report_error(error: Exception) -> int:
    """Print an error as one line, and return its exit code."""
    match error:
        case click.UsageError(ctx=context):
            path = context.command_path if context else output.PROGRAM
            output.print_message(f"{error.format_message()} (see `{path} --help`)")
            return error.exit_code
        case Interrupted():
            output.print_message(error.format_message())
            return stop_signals.exit_code
        case click.ClickException():
            output.print_message(error.format_message())
            return error.exit_code
        case click.Abort():
            # click raises `Abort` for a KeyboardInterrupt outside `App.invoke`.
            output.print_message("interrupted")
            return stop_signals.exit_code
        case ModelsLabError():
            output.print_message(explain(error))
            return exit_code_for(error).code
        case _:
            output.print_message(
                f"{type(error).__name__}: {error}; this is a bug; --debug shows more"
            )
            return INTERNAL_ERROR
