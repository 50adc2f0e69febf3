"""The command `download`: waits for tickets and saves what they made."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from .. import Client, Delivery, Downloads, File, Saved, Unsaved
from .._transport.credentials import Keys
from . import options, output
from .event_loop import run_async
from .exit_codes import exit_codes, exit_of, explained
from .fetch_and_wait import Tally
from .ticket_arguments import STDIN, checked, find_keys, given, make_client


@click.command(epilog=exit_codes())
@options.tickets
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder to save in; it is made if it is not there.",
)
@click.option(
    "--timeout",
    type=options.Numbers(min=0),
    metavar="SECONDS",
    help="The most seconds to wait for each ticket; 0 gives up at once.",
)
@options.transfers
@options.hosts
@options.as_json
@options.debug
def download(
    tickets: tuple[str, ...],
    *,
    folder: Path,
    timeout: float | None,
    at_once: int,
    longest: int,
    patience: float,
    private: bool,
    base_url: str | None,
    legacy_base_url: str | None,
    as_json: bool,
) -> int:
    """
    Wait until every TICKET has ended, and save what it made.

    TICKET is a family and an id, such as images:13443927; `-` reads one a line from standard
    input. The paths of the files are printed as they are there, one a line. Saving can be
    repeated: what is there already is not saved twice, and what was cut is gone on with.
    """
    keys = find_keys()
    for text in tickets:
        if text != STDIN:
            checked(text, keys)
    client = make_client(base_url, legacy_base_url)
    downloads = Downloads(
        client, to=folder, at_once=at_once, longest=longest, patience=patience, private=private
    )
    report = _Report(None if as_json or not output.is_terminal() else output.terminal(), as_json)
    try:
        run_async(_download(client, downloads, tickets, keys, timeout=timeout, report=report))
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted after {report.tally.ended} ended; download again to resume"
        ) from None
    return report.tally.sum_up()


async def _download(
    client: Client,
    downloads: Downloads,
    texts: Iterable[str],
    keys: Keys,
    *,
    timeout: float | None,
    report: "_Report",
) -> None:
    status = report.console.status("waiting") if report.console else nullcontext()
    async with client, downloads:
        with status:
            outcomes = client.stream(given(texts, keys, report.tally.skip), timeout=timeout)
            async for delivery in downloads.stream(outcomes):
                report.tell(delivery)
                await asyncio.sleep(0)


class _Report:
    """Prints what was saved, and says what was not."""

    def __init__(self, console: Console | None, as_json: bool) -> None:  # noqa: FBT001
        self.console = console
        self.tally = Tally()
        self._as_json = as_json

    def tell(self, delivery: Delivery) -> None:
        """Tell of one ticket."""
        match delivery:
            case Saved(files=files, success=success):
                self._print(files)
                self.tally.count(success)
                if not files:
                    output.say(f"{delivery.ticket}: there is nothing to save")
            case Unsaved(files=files, cause=cause):
                self._print(files)
                output.say(explained(cause))
                self.tally.codes[exit_of(cause).code] += 1
            case outcome:
                self.tally.count(outcome)
                if self.console:
                    output.print_news(self.console, outcome)

    def _print(self, files: Iterable[File]) -> None:
        for file in files:
            if self._as_json:
                click.echo(json.dumps(_record(file)))
            elif self.console:
                self.console.print(Text(output.plain(str(file.path))), soft_wrap=True)
            else:
                click.echo(str(file.path))


def _record(file: File) -> dict[str, str | int]:
    return {
        "ticket": str(file.ticket),
        "n": file.n,
        "path": str(file.path),
        "sha256": file.sha256,
        "size": file.size,
        "url": file.url,
    }
