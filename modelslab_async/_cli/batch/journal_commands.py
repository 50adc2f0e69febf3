"""The commands `batch status`, `export` and `verify`, which report what a journal holds."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from attrs import asdict
from rich.text import Text

from ... import Batch, Report, SavedFile, Verified
from ..._downloads.verify_saved_files import is_missing
from ...journal import UnsavedTicket
from .. import options, output
from ..event_loop import run_async
from ..exit_codes_and_advice import UNSAVED, exit_codes, explain_unsaved
from ..written_path_type import WrittenPath
from .export_file import STDOUT, check_export_format, write_export
from .journal_option import JournalLocation, check_not_journal, journal, require_journal
from .missing_saved_files import other_hosts_message

_MAX_SHOWN_REASONS = 5


@click.command()
@journal
@options.json_option()
@options.debug
def status(*, path: JournalLocation, as_json: bool) -> None:
    """
    Show how far a batch is.

    You can run this command from another terminal while the batch runs. It needs no key.
    """
    require_journal(path)
    report, unsaved_tickets = run_async(_status, path)
    if as_json:
        output.print_record(asdict(report))
        return
    console = output.make_console()
    for name, count in asdict(report).items():
        console.print(Text.assemble((f"{name:<14}", "bold"), f"{count:,}"))
    reasons = Counter(explain_unsaved(each.error, each.argument) for each in unsaved_tickets)
    for reason, count in reasons.most_common(_MAX_SHOWN_REASONS):
        console.print(Text(f"not saved: {count:,} x {output.sanitize(reason)}"), soft_wrap=True)


async def _status(path: JournalLocation) -> tuple[Report, list[UnsavedTicket]]:
    async with Batch.open(path) as batch:
        return await batch.report(), await batch.journal.unsaved()


@click.command()
@click.argument("file", type=WrittenPath(dir_okay=False, allow_dash=True, path_type=Path))
@journal
@click.option(
    "--file-format",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="The format, if the name of the file does not say it.",
)
@options.debug
def export(*, file: Path, path: JournalLocation, file_format: str | None) -> None:
    """
    Write all outcomes to FILE.

    FILE is a name such as out.jsonl, out.csv or out.parquet; `-` is standard output. The file
    appears when it is complete. Open tickets are left out.
    """
    require_journal(path)
    export_format = check_export_format(
        file if file_format is None else Path(f"out.{file_format}"),
        advice="end the name in .jsonl, .csv or .parquet, or give --file-format",
    )
    if str(file) != STDOUT:
        check_not_journal(file, path, "give the export another name")

    async def write() -> int:
        async with Batch.open(path) as batch:
            return await write_export(batch, file, export_format)

    where = "" if str(file) == STDOUT else f" in {file}"
    output.print_message(output.count_of(run_async(write), "outcome", "outcomes") + where)


@click.command(epilog=exit_codes((UNSAVED,), is_ranked=False))
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@journal
@click.option(
    "--repair", is_flag=True, help="Let the next run save changed and missing files again."
)
@options.json_option()
@options.debug
def verify(*, folder: Path | None, path: JournalLocation, repair: bool, as_json: bool) -> int:
    """
    Compare the saved files with the journal.

    The command compares the size and the SHA-256 of each file. FOLDER is where the files are now.
    Without FOLDER, each file is expected where it was saved. The recorded path of each changed or
    missing file is printed, one per line. A file that cannot be read is printed as `unreadable`,
    with the reason. The exit code is 8 if a file is changed, missing or unreadable.
    A file that is not here, because another host saved it, is printed as `elsewhere HOST:PATH`.
    """
    require_journal(path)

    async def check() -> Verified:
        async with Batch.open(path) as batch:
            return await batch.verify(folder, repair=repair)

    found = run_async(check)
    if folder is not None and is_missing(folder):
        output.print_message(_missing_folder_message(folder, found))
    for record, line in _bad_files(found):
        if as_json:
            output.print_record(record)
        else:
            output.print_line(line)
    bad = len(found.changed) + len(found.missing)
    advice = ""
    if bad:
        next_run = "the next `batch run --out FOLDER` saves them again"
        advice = f"; {next_run}" if repair else f"; with --repair, {next_run}"
    unchanged = output.count_of(len(found.unchanged), "file is", "files are")
    changed = output.count_of(bad, "is", "are")
    output.print_message(f"{unchanged} unchanged, {changed} not{advice}")
    if unreadable := len(found.unreadable):
        it = "it" if unreadable == 1 else "them"
        output.print_message(
            f"{output.count_of(unreadable, 'file', 'files')} cannot be read; before the next run, "
            f"let this program read {it}, or move {it} away"
        )
    if found.elsewhere:
        counts = Counter({host: len(files) for host, files in found.elsewhere.items()})
        output.print_message(other_hosts_message(counts, path))
    return UNSAVED if bad else 0


def _bad_files(found: Verified) -> Iterator[tuple[dict[str, str], str]]:
    """Yield a record and a line of text for each file that is not unchanged."""
    for file in found.changed:
        record = _record("changed", file)
        if (reason := found.unreadable.get(file)) is None:
            yield record, f"changed {file.path}"
        else:
            yield record | {"reason": reason}, f"unreadable {file.path}: {reason}"
    for file in found.missing:
        yield _record("missing", file), f"missing {file.path}"
    for host, files in found.elsewhere.items():
        for file in files:
            yield _record("elsewhere", file) | {"host": host}, f"elsewhere {host}:{file.path}"


def _record(state: str, file: SavedFile) -> dict[str, str]:
    return {"state": state, "ticket": str(file.ticket), "path": str(file.path)}


def _missing_folder_message(folder: Path, found: Verified) -> str:
    """Return the message for a missing folder. It names one of the files expected there."""
    message = f"there is no folder {folder}"
    if not found.missing:
        return message
    expected = folder / found.missing[0].path.name
    others = len(found.missing) - 1
    more = f" and {output.count_of(others, 'other file', 'other files')} there" if others else ""
    return f"{message}: looked for {expected}{more}"
