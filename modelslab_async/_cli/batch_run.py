"""The commands `batch run` and `batch retry`: a whole batch, to its end or to the next Ctrl-C."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from .. import (
    Batch,
    Client,
    Delivery,
    Downloads,
    Outcome,
    Report,
    Saved,
    Ticket,
    Unresolved,
    Unsaved,
    to_dict,
)
from .._journal.exports import Format
from . import options, show
from .batch_figures import Figures
from .batch_input import Form, read_tickets
from .batch_live import shown, sum_up
from .batch_stop import stoppable
from .exits import exit_codes
from .look import Tally
from .loops import run_async
from .tickets import family_of, find_keys, make_client

F = TypeVar("F", bound=Callable[..., object])

journal = click.option(
    "--journal",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default="run.db",
    show_default=True,
    metavar="FILE",
    help="The file that remembers the batch.",
)


@frozen(kw_only=True)
class Plan:
    """What the user wants of a run; the names are those of the options."""

    path: Path
    folder: Path | None
    export: Path | None
    timeout: float | None
    at_once: int
    private: bool
    quiet: bool
    as_json: bool


def run_options(command: F) -> F:
    """The options of every command that runs a batch."""
    for option in (
        options.debug,
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print each outcome as a line of JSON, with its files.",
        ),
        click.option("--quiet", is_flag=True, help="Show nothing but what goes wrong."),
        options.hosts,
        click.option(
            "--private",
            is_flag=True,
            help="Allow plain http and addresses that are not public, as the emulator's.",
        ),
        click.option(
            "--at-once",
            type=click.IntRange(min=1),
            default=8,
            show_default=True,
            help="How many transfers may be on their way at once.",
        ),
        click.option(
            "--timeout",
            type=options.Numbers(min=0, min_open=True),
            metavar="SECONDS",
            help="The most seconds to wait for each ticket; the next run waits again.",
        ),
        click.option(
            "--export",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write all outcomes at the end: out.jsonl, out.csv or out.parquet.",
        ),
        click.option(
            "--out",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="Save what the tickets made in this folder.",
        ),
        journal,
    ):
        command = option(command)
    return command


@click.command(epilog=exit_codes())
@click.argument("ids", required=False)
@click.option("--family", metavar="NAME", help="The family of ids that stand alone.")
@click.option("--column", metavar="NAME", help="The column of tickets or ids; else it is guessed.")
@click.option("--strict", is_flag=True, help="Start nothing where a line is no ticket.")
@run_options
def run(
    ids: str | None,
    *,
    family: str | None,
    column: str | None,
    strict: bool,
    base_url: str | None,
    legacy_base_url: str | None,
    **wanted: Any,
) -> int:
    """
    Wait for all tickets of IDS, and go on where an earlier run stopped.

    IDS is a text file with a ticket a line, such as images:13443927, a CSV file or JSON lines;
    `-` reads standard input. Without IDS, what the journal holds is run. Whatever ends this
    program, even kill -9: the same command again goes on, asks about nothing that is over and
    saves no file twice. A line that is no ticket is told by its number and skipped.

    Ctrl-C once stops when what is on its way is saved, twice at once.
    """
    plan = _planned(wanted)
    if ids is None:
        need_journal(plan.path, "give IDS to begin a batch")
    if family is not None:
        family_of(family)
    keys = find_keys()
    tally = Tally()
    tickets: list[Ticket] = []
    if ids is not None:
        tickets += read_tickets(ids, Form(family=family, column=column), keys, tally.skip)
    if strict and tally.ended:
        raise click.UsageError(f"{tally.ended} lines are no tickets, and nothing was started")
    return go(plan, (base_url, legacy_base_url), tickets=tickets, tally=tally)


@click.command(epilog=exit_codes())
@click.option("--failed", is_flag=True, help="Ask again about what failed by the server's word.")
@run_options
def retry(*, failed: bool, base_url: str | None, legacy_base_url: str | None, **wanted: Any) -> int:
    """
    Ask again about the tickets of a journal that ended badly.

    Those that were given up, and files that could not be saved, are tried again by every run;
    --failed opens again those that the server called failed, too. Nothing is submitted anew.
    """
    plan = _planned(wanted)
    need_journal(plan.path, "begin a batch with `batch run`")
    find_keys()
    return go(plan, (base_url, legacy_base_url), failed=failed)


def _planned(wanted: dict[str, Any]) -> Plan:
    """What is wanted, once it is clear that it can be had."""
    plan = Plan(**wanted)
    if plan.export is not None:
        options.check_export(str(plan.export))
    return plan


async def write_export(batch: Batch, file: Path, form: Format | None = None) -> int:
    """
    Export, and say in the terms of the command line what is in the way.

    Raises:
        click.UsageError: The file cannot be written.
    """
    try:
        return await batch.export(file, form=form)
    except OSError as fault:
        raise click.UsageError(f"{file} cannot be written: {fault.strerror or fault}") from None


def need_journal(path: Path, advice: str) -> None:
    """
    Make sure that there is a journal to go on with.

    Raises:
        click.UsageError: There is none.
    """
    if not path.exists():
        raise click.UsageError(f"there is no journal {path}; {advice}, or name one with --journal")


def go(
    plan: Plan,
    hosts: tuple[str | None, str | None],
    *,
    tickets: Sequence[Ticket] = (),
    tally: Tally | None = None,
    failed: bool = False,
) -> int:
    """Run a batch as planned, and give the exit code: that of the whole journal."""
    figures, tally = Figures(), tally or Tally()
    client = make_client(*hosts, on_event=figures.hear)
    work = _Work(plan, client, figures, tally)
    try:
        report = run_async(work.do(tickets, failed=failed))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise options.Interrupted(_stopped(figures)) from None
    if not (plan.quiet or plan.as_json):
        sum_up(show.terminal(), figures)
    if figures.stopping:
        raise options.Interrupted(_stopped(figures))
    tally.codes.update(_codes_of(report))
    return tally.sum_up()


def _stopped(figures: Figures) -> str:
    return f"interrupted with {figures.open:,} open; the same command again goes on"


def _codes_of(report: Report) -> dict[int, int]:
    """The exit codes that what a journal holds stands for; the causes of a run aside."""
    held = {1: report.failed, 7: report.open, 8: report.unsaved}
    return {code: count for code, count in held.items() if count}


class _Work:
    """One run of a batch."""

    def __init__(self, plan: Plan, client: Client, figures: Figures, tally: Tally) -> None:
        self._plan = plan
        self._client = client
        self._figures = figures
        self._tally = tally

    async def do(self, tickets: Sequence[Ticket], *, failed: bool) -> Report:
        """Do all of it; what the journal holds in the end is returned."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client)
            batch = await stack.enter_async_context(Batch.open(self._plan.path, client=client))
            await batch.add(tickets)
            if failed:
                await batch.retry_failed()
            self._figures.begin(await batch.report(), saves=self._plan.folder is not None)
            stack.enter_context(stoppable(lambda: self._drain(batch)))
            await self._run(batch)
            if self._plan.export is not None and not self._figures.stopping:
                await write_export(batch, self._plan.export)
            return await batch.report()

    def _drain(self, batch: Batch) -> None:
        self._figures.stopping = True
        batch.drain()

    async def _run(self, batch: Batch) -> None:
        async with shown(self._figures, quiet=self._plan.quiet):
            if self._plan.folder is None:
                async with aclosing(batch.run(timeout=self._plan.timeout)) as outcomes:
                    async for outcome in outcomes:
                        self._take(outcome)
                        await asyncio.sleep(0)
                return
            downloads = Downloads(
                self._client,
                to=self._plan.folder,
                at_once=self._plan.at_once,
                private=self._plan.private,
            )
            deliveries = batch.save(downloads, timeout=self._plan.timeout)
            async with downloads, aclosing(deliveries):
                async for delivery in deliveries:
                    self._take(delivery)
                    await asyncio.sleep(0)

    def _take(self, news: Outcome | Delivery) -> None:
        self._figures.take(news)
        if isinstance(news, Unresolved):
            self._tally.count(news)
        if self._plan.as_json:
            click.echo(json.dumps(_record(news)))


def _record(news: Outcome | Delivery) -> dict[str, Any]:
    """One line for a program: the outcome, and the files where some are saved."""
    if not isinstance(news, (Saved, Unsaved)):
        return to_dict(news)
    files = [
        {"n": file.n, "path": str(file.path), "sha256": file.sha256, "size": file.size}
        for file in news.files
    ]
    why = str(news.cause) if isinstance(news, Unsaved) else None
    return {**to_dict(news.success), "files": files, "unsaved": why}
