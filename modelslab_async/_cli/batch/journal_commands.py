"""The commands `batch status`, `export` and `verify`: what a journal holds. They ask no server."""

import json
from collections import Counter
from pathlib import Path

import click
from attrs import asdict
from rich.text import Text

from ... import Batch, Report, Verified
from ...journal import UnsavedTicket
from .. import options, output
from ..event_loop import run_async
from ..exit_codes import UNSAVED, exit_codes
from ..option_names import with_option_names
from .export_file import STDOUT, write_export
from .run_commands import journal
from .runner import require_journal


@click.command()
@journal
@options.as_json
@options.debug
def status(*, path: Path, as_json: bool) -> None:
    """
    Show how far a batch is, also while it runs.

    It can be asked from another terminal at any time, and needs no key.
    """
    require_journal(path, "begin a batch with `batch run`")
    report, lacking = run_async(_status(path))
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    console = output.make_console()
    for name, count in asdict(report).items():
        console.print(Text.assemble((f"{name:<12}", "bold"), f"{count:,}"))
    reasons = Counter(with_option_names(each.error) for each in lacking)
    for why, count in reasons.most_common(5):
        console.print(Text(f"not saved: {count:,} x {output.sanitize(why)}"), soft_wrap=True)


async def _status(path: Path) -> tuple[Report, list[UnsavedTicket]]:
    async with Batch.open(path) as batch:
        return await batch.report(), await batch.journal.unsaved()


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@journal
@click.option(
    "--file-format",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="The form, where the name of the file does not say it.",
)
@options.debug
def export(*, file: Path, path: Path, file_format: str | None) -> None:
    """
    Write all outcomes to FILE, such as out.jsonl, out.csv or out.parquet.

    The file appears when it is complete; `-` is standard output. Open tickets are left out.
    """
    require_journal(path, "begin a batch with `batch run`")
    export_format = options.check_export_format(str(file), file_format)

    async def write() -> int:
        async with Batch.open(path) as batch:
            return await write_export(batch, file, export_format)

    where = "" if str(file) == STDOUT else f" in {file}"
    output.print_message(f"{run_async(write()):,} outcomes{where}")


@click.command(epilog=exit_codes())
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@journal
@click.option("--repair", is_flag=True, help="Have the next run get what is changed or missing.")
@options.as_json
@options.debug
def verify(*, folder: Path | None, path: Path, repair: bool, as_json: bool) -> int:
    """
    Compare the saved files with the journal: size and SHA-256 of each.

    FOLDER is where they are now; without it, each is looked for where it was saved. What is
    changed or missing is printed, a path a line, and ends with exit code 8.
    """
    require_journal(path, "begin a batch with `batch run`")

    async def check() -> Verified:
        async with Batch.open(path) as batch:
            return await batch.verify(folder, repair=repair)

    found = run_async(check())
    for state, files in (("changed", found.changed), ("missing", found.missing)):
        for file in files:
            record = {"state": state, "ticket": str(file.ticket), "path": str(file.path)}
            click.echo(
                json.dumps(record) if as_json else f"{state} {output.sanitize(str(file.path))}"
            )
    bad = len(found.changed) + len(found.missing)
    advice = "" if repair or not bad else "; --repair has the next `batch run --out` get them"
    output.print_message(
        f"{len(found.unchanged):,} files are as they were saved, {bad:,} are not{advice}"
    )
    return UNSAVED if bad else 0
