"""The commands `batch run` and `batch retry`: a whole batch, to its end or to the next Ctrl-C."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ... import Ticket
from .. import options
from ..exit_codes import exit_codes
from ..fetch_and_wait import ExitTally
from ..ticket_arguments import find_credentials, find_family
from .columns import InputSpec
from .runner import Plan, require_journal, run_batch
from .ticket_input import read_tickets

F = TypeVar("F", bound=Callable[..., object])

journal = click.option(
    "--journal",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default="run.db",
    show_default=True,
    metavar="FILE",
    help="The file that remembers the batch.",
)


def run_options(command: F) -> F:
    """The options of every command that runs a batch."""
    for option in (
        options.debug,
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print each outcome as a line of JSON, with its files.",
        ),
        click.option("--quiet", is_flag=True, help="Show nothing but what goes wrong."),
        options.host_options,
        options.download_options,
        click.option(
            "--window",
            type=click.IntRange(min=1),
            default=10_000,
            show_default=True,
            metavar="COUNT",
            help="The most tickets that this process holds at once; the rest is left to others.",
        ),
        click.option(
            "--timeout",
            type=options.NumberRange(min=0, min_open=True),
            metavar="SECONDS",
            help="The most seconds to wait for each ticket; the next run waits again.",
        ),
        click.option(
            "--export",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write all outcomes at the end: out.jsonl, out.csv or out.parquet.",
        ),
        click.option(
            "--out",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="Save what the tickets made in this folder.",
        ),
        journal,
    ):
        command = option(command)
    return command


@click.command(epilog=exit_codes())
@click.argument("ids", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--family",
    metavar="NAME",
    shell_complete=options.complete_family,
    help="The family of ids that stand alone.",
)
@click.option(
    "--column",
    metavar="NAME",
    help="The column of tickets or ids, where its name is not known; its number, if it has none.",
)
@click.option("--strict", is_flag=True, help="Start nothing where a line is no ticket.")
@run_options
def run(
    ids: str | None,
    *,
    family: str | None,
    column: str | None,
    strict: bool,
    base_url: str | None,
    legacy_base_url: str | None,
    **plan_arguments: Any,
) -> int:
    """
    Wait for all tickets of IDS, and go on where an earlier run stopped.

    IDS is a text file with a ticket a line, such as images:13443927, a CSV file, JSON lines or a
    JSON array; `-` reads standard input. Without IDS, what the journal holds is run. Whatever
    ends this program, even kill -9: the same command again goes on, asks about nothing that is
    over and saves no file twice. A line that is no ticket is told by its number and skipped.

    Ctrl-C once stops when what is on its way is saved, twice at once.
    """
    plan = _make_plan(plan_arguments)
    if ids is None:
        require_journal(plan.path, "give IDS to begin a batch")
    if family is not None:
        find_family(family)
    credentials = find_credentials()
    tally = ExitTally()
    tickets: list[Ticket] = []
    if ids is not None:
        tickets += read_tickets(
            ids, InputSpec(family=family, column=column), credentials, tally.count_skipped
        )
    if strict and tally.handled:
        raise click.UsageError(f"{tally.handled} lines are no tickets, and nothing was started")
    return run_batch(plan, (base_url, legacy_base_url), tickets=tickets, tally=tally)


@click.command(epilog=exit_codes())
@click.option("--failed", is_flag=True, help="Ask again about what failed by the server's word.")
@run_options
def retry(
    *, failed: bool, base_url: str | None, legacy_base_url: str | None, **plan_arguments: Any
) -> int:
    """
    Ask again about the tickets of a journal that ended badly.

    Those that were given up, and files that could not be saved, are tried again by every run;
    --failed opens again those that the server called failed, too. Nothing is submitted anew.
    """
    plan = _make_plan(plan_arguments)
    require_journal(plan.path, "begin a batch with `batch run`")
    find_credentials()
    return run_batch(plan, (base_url, legacy_base_url), failed=failed)


def _make_plan(plan_arguments: dict[str, Any]) -> Plan:
    """What is wanted, once it is clear that it can be had."""
    plan = Plan(**plan_arguments)
    if plan.export is not None:
        options.check_export_format(str(plan.export))
    return plan
