"""Defines the commands `batch run` and `batch retry`, with their options."""

from pathlib import Path
from typing import Any

import click

from ..._models.ticket import NewTicket
from ..._tables.ticket_columns import InputSpec
from .. import options, output
from ..account_limit_options import account_options
from ..argument_completers import complete_family
from ..client_factory import find_credentials
from ..exit_codes_and_advice import SUBMIT_CODES, exit_codes
from ..exit_tally import ExitTally
from ..options import F
from ..standard_input import source_name
from ..ticket_arguments import find_family
from ..written_path_type import WrittenPath
from .export_file import check_export_file, check_export_format, is_same_file
from .journal_option import check_not_journal, journal, require_journal
from .runner import Plan, run_batch
from .ticket_and_submit_work import TicketWork
from .ticket_input import read_tickets


def run_options(command: F) -> F:
    """Add the options that are common to all commands that run a batch."""
    for option in (
        options.debug,
        options.json_option("Print each outcome as a line of JSON, with its files."),
        click.option("--quiet", is_flag=True, help="Print only problems."),
        options.host_options,
        options.download_options,
        options.timeout_option("the next run waits again", allows_zero=False),
        click.option(
            "--export",
            type=WrittenPath(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write all outcomes at the end: out.jsonl, out.csv or out.parquet.",
        ),
        click.option(
            "--out",
            "folder",
            type=WrittenPath(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="Save the files of the tickets in this folder.",
        ),
        journal,
    ):
        command = option(command)
    return command


window_option = click.option(
    "--window",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="COUNT",
    help="How many tickets this process takes at once; it leaves the rest to others.",
)


@click.command("run", epilog=exit_codes(SUBMIT_CODES))
@click.argument("ids", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--family",
    metavar="NAME",
    shell_complete=complete_family,
    help="The family of ids without a family.",
)
@click.option(
    "--column",
    metavar="NAME",
    help="The column of tickets or ids: its name, or its number in a table without names.",
)
@click.option("--strict", is_flag=True, help="Start nothing if a line is no ticket.")
@run_options
@account_options
@window_option
def run_command(
    ids: str | None,
    *,
    family: str | None,
    column: str | None,
    strict: bool,
    window: int,
    base_url: str | None,
    legacy_base_url: str | None,
    **plan_arguments: Any,
) -> int:
    """
    Wait for all tickets of IDS, or resume an earlier run.

    IDS is a text file with one ticket per line (such as images:13443927), a CSV file, JSON lines or
    a JSON array. `-` reads standard input. Without IDS, the run takes the tickets of the journal.
    However this program ends, even by kill -9, the same command resumes. It polls no ticket that
    has ended, and saves no file twice. A line that is not a ticket is reported by its number and
    skipped.

    The first Ctrl-C stops after the current downloads. The second Ctrl-C stops at once. SIGTERM
    does the same as Ctrl-C.
    """
    plan = make_plan(plan_arguments, source=ids)
    if ids is None:
        require_journal(plan.path, "give IDS to start a batch")
    if family is not None:
        find_family(family)
    credentials = find_credentials()
    tally = ExitTally()
    tickets: list[NewTicket] = []
    if ids is not None:
        tickets += read_tickets(
            ids, InputSpec(family=family, column=column), credentials, tally.count_skipped
        )
        if not tickets and not tally.handled and not plan.quiet:
            output.print_message(f"{source_name(ids)} is empty: it holds no tickets")
    if strict and tally.handled:
        raise click.UsageError(
            output.count_of(tally.handled, "line is no ticket", "lines are no tickets")
            + ", so nothing was started"
        )
    work = TicketWork(tickets=tickets, window=window)
    return run_batch(plan, (base_url, legacy_base_url), work, tally=tally)


@click.command(epilog=exit_codes(SUBMIT_CODES))
@click.option("--failed", is_flag=True, help="Poll the failed tickets again, too.")
@run_options
@account_options
@window_option
def retry(
    *,
    failed: bool,
    window: int,
    base_url: str | None,
    legacy_base_url: str | None,
    **plan_arguments: Any,
) -> int:
    """
    Poll unresolved tickets again, and failed ones with --failed.

    Every run retries the tickets that earlier runs gave up on, and the files that could not be
    saved. With --failed, it also polls the tickets that the server reported as failed. Nothing is
    submitted again.
    """
    plan = make_plan(plan_arguments)
    require_journal(plan.path)
    find_credentials()
    work = TicketWork(retry_failed=failed, window=window)
    return run_batch(plan, (base_url, legacy_base_url), work)


def make_plan(
    plan_arguments: dict[str, Any], source: str | None = None, source_kind: str = "file of ids"
) -> Plan:
    """
    Make the plan of a run, and check that its export can be written.

    Args:
        plan_arguments: The values of the options of `run_options`.
        source: The file that the command reads. The export must not overwrite this file.
        source_kind: What the error message calls that file.
    """
    plan = Plan(**plan_arguments)
    if plan.export is not None:
        check_export_format(
            plan.export, advice="end the name in .jsonl, .csv or .parquet, such as out.csv"
        )
        check_export_file(plan.export)
        check_not_journal(plan.export, plan.path, "give --export another name")
        if source is not None and is_same_file(plan.export, Path(source)):
            raise click.UsageError(
                f"{plan.export} is the {source_kind}; give --export another name"
            )
    return plan
