"""
The command `batch copy`: copies a journal to a file or to a database.

The source keeps its rows and stays readable, but no run can begin in it any more.
"""

import shlex

import click
from attrs import asdict

from ... import Batch, Report
from ..._journal.journal_copy import copy_journal
from .. import options, output
from ..event_loop import run_async
from ..exit_codes_and_advice import UNSAVED, exit_codes
from .journal_option import LOCATION, JournalLocation, journal_exists, shown


@click.command(epilog=exit_codes((UNSAVED,), is_ranked=False))
@click.argument("source", type=LOCATION)
@click.argument("target", type=LOCATION)
@options.json_option("Print the counts of TARGET as JSON, as `batch status` does.")
@options.debug
def copy(*, source: JournalLocation, target: JournalLocation, as_json: bool) -> None:
    """
    Copy a journal from a file to a database, or back.

    The batch goes on in TARGET. SOURCE and TARGET are each a file, or a batch in a database:
    'postgresql://host/database?batch=NAME'. TARGET gets everything at once: tickets, outcomes,
    submits and the records of saved files. It must be new or empty. No run may be active in SOURCE.

    SOURCE keeps its content and can be read. No run begins there any more, so that nothing is paid
    for twice. If this command is killed, start it again with the same arguments.
    """
    if source == target:
        raise click.UsageError("SOURCE and TARGET are the same journal")
    if not run_async(journal_exists, source):
        raise click.UsageError(f"there is no journal {shown(source)}")

    async def copy_and_count() -> tuple[bool, Report]:
        has_copied = await copy_journal(source, target)
        async with Batch.open(target) as batch:
            return has_copied, await batch.report()

    has_copied, report = run_async(copy_and_count)
    if as_json:
        output.print_record(asdict(report))
    copied = "copied" if has_copied else "an earlier start of this command has copied"
    output.print_message(f"{copied} {shown(source)} to {shown(target)}: {_counts(report)}")
    command = shlex.join([output.PROGRAM, "batch", "run", "--journal", shown(target)])
    output.print_message(
        f"go on there, such as with `{command}`; {shown(source)} can still be read, and no run "
        "begins in it any more"
    )


def _counts(report: Report) -> str:
    tickets = output.count_of(report.tickets, "ticket", "tickets")
    unfinished = report.open + report.unresolved
    counts = [
        f"{tickets} ({report.finished:,} finished, {unfinished:,} not)",
        output.count_of(report.files, "file", "files"),
    ]
    if report.uncertain:
        counts.append(output.count_of(report.uncertain, "uncertain submit", "uncertain submits"))
    return ", ".join(counts)
