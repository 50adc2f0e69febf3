"""The commands `batch status`, `export` and `verify`: what a journal holds. They ask no server."""

import json
from collections import Counter
from pathlib import Path

import click
from attrs import asdict
from rich.text import Text

from ... import Batch, Report, Verified
from ...journal import Lacking
from .. import options, output
from ..event_loop import run_async
from ..exit_codes import UNSAVED, exit_codes
from ..option_names import in_options
from .export_file import STDOUT, write_export
from .run_commands import journal
from .runner import need_journal


@click.command()
@journal
@options.as_json
@options.debug
def status(*, path: Path, as_json: bool) -> None:
    """
    Show how far a batch is, also while it runs.

    It can be asked from another terminal at any time, and needs no key.
    """
    need_journal(path, "begin a batch with `batch run`")
    report, lacking = run_async(_status(path))
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    console = output.terminal()
    for name, count in asdict(report).items():
        console.print(Text.assemble((f"{name:<12}", "bold"), f"{count:,}"))
    reasons = Counter(in_options(each.why) for each in lacking)
    for why, count in reasons.most_common(5):
        console.print(Text(f"not saved: {count:,} x {output.plain(why)}"), soft_wrap=True)


async def _status(path: Path) -> tuple[Report, list[Lacking]]:
    async with Batch.open(path) as batch:
        return await batch.report(), await batch.journal.lacking()


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@journal
@click.option(
    "--form",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="The form, where the name of the file does not say it.",
)
@options.debug
def export(*, file: Path, path: Path, form: str | None) -> None:
    """
    Write all outcomes to FILE, such as out.jsonl, out.csv or out.parquet.

    The file appears when it is complete; `-` is standard output. Open tickets are left out.
    """
    need_journal(path, "begin a batch with `batch run`")
    known = options.check_export(str(file), form)

    async def write() -> int:
        async with Batch.open(path) as batch:
            return await write_export(batch, file, known)

    where = "" if str(file) == STDOUT else f" in {file}"
    output.say(f"{run_async(write()):,} outcomes{where}")


@click.command(epilog=exit_codes())
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@journal
@click.option("--mend", is_flag=True, help="Have the next run get what is changed or missing.")
@options.as_json
@options.debug
def verify(*, folder: Path | None, path: Path, mend: bool, as_json: bool) -> int:
    """
    Compare the saved files with the journal: size and SHA-256 of each.

    FOLDER is where they are now; without it, each is looked for where it was saved. What is
    changed or missing is printed, a path a line, and ends with exit code 8.
    """
    need_journal(path, "begin a batch with `batch run`")

    async def check() -> Verified:
        async with Batch.open(path) as batch:
            return await batch.verify(folder, mend=mend)

    found = run_async(check())
    for state, files in (("changed", found.changed), ("missing", found.missing)):
        for file in files:
            record = {"state": state, "ticket": str(file.ticket), "path": str(file.path)}
            click.echo(json.dumps(record) if as_json else f"{state} {output.plain(str(file.path))}")
    bad = len(found.changed) + len(found.missing)
    advice = "" if mend or not bad else "; --mend has the next `batch run --out` get them"
    output.say(f"{len(found.fine):,} files are as they were saved, {bad:,} are not{advice}")
    return UNSAVED if bad else 0
