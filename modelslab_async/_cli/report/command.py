"""The command `batch report`: a journal as a page with plots."""

from pathlib import Path

import click

from ... import Batch
from ..._aio.durable_files import atomic_replace
from .. import options, output
from ..batch.run_commands import journal
from ..batch.runner import require_journal
from ..event_loop import run_async
from .html_page import render_page
from .journal_data import ReportData, read_journal


@click.command()
@click.option(
    "--html",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where to write the page.",
)
@journal
@options.debug
def report(*, file: Path, path: Path) -> None:
    """
    Write a page with plots of a batch: how long it took, how often it looked, what went wrong.

    It is one file that loads nothing, and can be opened in any browser, mailed or kept.
    """
    require_journal(path, "begin a batch with `batch run`")

    async def read() -> ReportData:
        async with Batch.open(path) as batch:
            return await read_journal(batch)

    text = render_page(run_async(read()), path.name)
    try:
        with atomic_replace(file) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None
    output.print_message(f"the page is {file}")
