"""The command `download`: waits for tickets and saves their outputs as files."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from .. import (
    Client,
    Downloads,
    Failed,
    GenerationFailed,
    Saved,
    SavedFile,
    SaveResult,
    Unsaved,
)
from .._transport.credentials import Credentials
from . import options, output
from .account_limit_options import AccountLimits, account_options
from .client_factory import make_client
from .exit_codes_and_advice import WAIT_CODES, exit_code_for, exit_codes, explain
from .exit_tally import ExitTally, run_with_tally
from .out_folder_check import check_out_folder
from .ticket_arguments import check_tickets, iter_tickets
from .written_path_type import WrittenPath


@click.command(epilog=exit_codes(WAIT_CODES))
@options.tickets
@click.option(
    "--out",
    "folder",
    type=WrittenPath(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder to save in. It is created if it does not exist.",
)
@options.timeout_option("0 gives up at once")
@account_options
@options.download_options
@options.host_options
@options.json_option()
@options.debug
def download(
    tickets: tuple[str, ...],
    *,
    folder: Path,
    timeout: float | None,
    concurrency: int,
    max_bytes: int,
    link_timeout: float,
    allow_private: bool,
    limits: AccountLimits,
    base_url: str | None,
    legacy_base_url: str | None,
    as_json: bool,
) -> int:
    """
    Wait until every TICKET has ended, and save its files.

    TICKET is a family and an id, such as images:13443927. `-` reads tickets from standard input,
    one per line. The path of each file is printed as soon as the file is complete, one per line.
    If you run the same command again, it saves no file twice and resumes interrupted downloads.
    """
    credentials = check_tickets(tickets)
    check_out_folder(folder)
    client = make_client(base_url, legacy_base_url, limits=limits)
    downloads = Downloads(
        client,
        to=folder,
        concurrency=concurrency,
        max_bytes=max_bytes,
        link_timeout=link_timeout,
        allow_private=allow_private,
    )
    printer = _Printer(output.terminal_console(as_json=as_json), as_json=as_json)
    return run_with_tally(
        partial(
            _download, client, downloads, tickets, credentials, timeout=timeout, printer=printer
        ),
        printer.tally,
        resume="download again to resume",
    )


async def _download(
    client: Client,
    downloads: Downloads,
    texts: Iterable[str],
    credentials: Credentials,
    *,
    timeout: float | None,
    printer: "_Printer",
) -> None:
    status = printer.console.status("waiting") if printer.console else nullcontext()
    async with client, downloads:
        with status:
            outcomes = client.stream(
                iter_tickets(texts, credentials, printer.tally.count_skipped), timeout=timeout
            )
            async for save_result in downloads.stream(outcomes):
                printer.print_save_result(save_result)
                await asyncio.sleep(0)


class _Printer:
    """Prints the paths of saved files, and why other files could not be saved."""

    def __init__(self, console: Console | None, *, as_json: bool) -> None:
        self.console = console
        self.tally = ExitTally()
        self._as_json = as_json

    def print_save_result(self, save_result: SaveResult) -> None:
        """Print the result of one ticket."""
        match save_result:
            case Saved(files=files, success=success):
                self._print_files(files)
                self.tally.count(success)
                if not files:
                    output.print_message(
                        f"{save_result.ticket}: the generation has no outputs to save"
                    )
            case Unsaved(files=files, cause=cause):
                self._print_files(files)
                output.print_message(explain(cause))
                self.tally.codes[exit_code_for(cause).code] += 1
            case outcome:
                self.tally.count(outcome)
                if self.console:
                    output.print_result(self.console, outcome)
                elif isinstance(outcome, Failed):
                    # A failed ticket is explained here, because the summary at the end explains
                    # only tickets that are still open.
                    output.print_message(explain(GenerationFailed.of(outcome)))

    def _print_files(self, files: Iterable[SavedFile]) -> None:
        for file in files:
            if self._as_json:
                output.print_record(_file_record(file))
            else:
                output.print_path(self.console, file.path)


def _file_record(file: SavedFile) -> dict[str, str | int | bool]:
    return {
        "ticket": str(file.ticket),
        "n": file.n,
        "path": str(file.path),
        "sha256": file.sha256,
        "size": file.size,
        "url": file.url,
        "is_length_verified": file.is_length_verified,
    }
