"""The command `batch report`: writes a page with plots of a journal."""

from pathlib import Path

import click

from ... import Batch
from ..._aio.durable_files import atomic_replace, remove_old_drafts
from .. import options, output
from ..batch.journal_option import (
    JournalLocation,
    check_not_journal,
    journal,
    journal_name,
    require_journal,
)
from ..event_loop import run_async
from ..written_path_type import WrittenPath
from .html_page import render_page
from .journal_data import ReportData, read_journal


@click.command()
@click.option(
    "--html",
    "file",
    type=WrittenPath(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where to write the page.",
)
@journal
@options.debug
def report(*, file: Path, path: JournalLocation) -> None:
    """
    Write a page with plots of a batch.

    The page shows how long tickets took, how many polls they needed and what went wrong. It is
    one HTML file that loads nothing, so that you can open it in any browser, mail it or keep it.
    """
    require_journal(path)
    check_not_journal(file, path, "give --html another name")

    async def read() -> ReportData:
        async with Batch.open(path) as batch:
            return await read_journal(batch)

    text = render_page(run_async(read), journal_name(path))
    remove_old_drafts(file)
    try:
        with atomic_replace(file) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None
    output.print_message(f"wrote the page to {file}")
