"""The command `batch report`: a journal as a page with plots."""

from pathlib import Path

import click

from ... import Batch
from ..._aio.durable_files import replacing
from .. import options, output
from ..batch.run_commands import journal
from ..batch.runner import need_journal
from ..event_loop import run_async
from .html_page import page
from .journal_data import Facts, gather


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
    need_journal(path, "begin a batch with `batch run`")

    async def read() -> Facts:
        async with Batch.open(path) as batch:
            return await gather(batch)

    text = page(run_async(read()), path.name)
    try:
        with replacing(file) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise click.UsageError(f"{file} cannot be written: {fault.strerror or fault}") from None
    output.say(f"the page is {file}")
