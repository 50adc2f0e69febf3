"""Batch work: one run of a batch on the command line, as planned, and what its end says."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import click
from attrs import frozen

from ... import (
    Batch,
    Client,
    Delivery,
    Downloads,
    Outcome,
    Saved,
    Ticket,
    Unresolved,
    Unsaved,
    to_dict,
)
from .. import options, output
from ..event_loop import run_async
from ..fetch_and_wait import Tally
from ..option_names import in_options
from ..ticket_arguments import NoKey, make_client
from .exit_status import End
from .export_file import write_export
from .interrupt import stoppable
from .missing_files import absent_from
from .progress import Figures
from .progress_display import shown, sum_up

_News: TypeAlias = AsyncGenerator[Outcome, None] | AsyncGenerator[Delivery, None]


@frozen(kw_only=True)
class Plan:
    """What the user wants of a run; the names are those of the options."""

    path: Path
    folder: Path | None
    export: Path | None
    timeout: float | None
    window: int
    at_once: int
    longest: int
    patience: float
    private: bool
    quiet: bool
    as_json: bool


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
        end = run_async(work.do(tickets, failed=failed))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise options.Interrupted(_stopped(figures)) from None
    except ValueError as fault:
        raise _refused(str(fault)) from None
    if plan.quiet:
        for line in figures.troubles():
            output.say(line)
    elif not plan.as_json:
        sum_up(output.terminal(), figures)
    if figures.stopping:
        raise options.Interrupted(_stopped(figures))
    for line in end.lines(figures.failed):
        output.say(line)
    tally.codes.update(end.codes(figures.given_up))
    return tally.sum_up()


def _refused(fault: str) -> click.ClickException:
    """What is said where a journal holds tickets that nobody here can ask about."""
    told = (
        f"all others have ended, but the journal holds a ticket with a fault: {in_options(fault)}"
    )
    return NoKey(told) if "API_KEY" in fault else click.UsageError(told)


def _stopped(figures: Figures) -> str:
    return f"interrupted with {figures.open:,} open; the same command again goes on"


class _Work:
    """One run of a batch."""

    def __init__(self, plan: Plan, client: Client, figures: Figures, tally: Tally) -> None:
        self._plan = plan
        self._client = client
        self._figures = figures
        self._tally = tally

    async def do(self, tickets: Sequence[Ticket], *, failed: bool) -> End:
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
            folder = self._plan.folder
            absent = None if folder is None else await absent_from(folder, batch)
            return End(await batch.report(), absent)

    def _drain(self, batch: Batch) -> None:
        self._figures.stopping = True
        batch.drain()

    async def _run(self, batch: Batch) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                shown(self._figures, batch.report, quiet=self._plan.quiet)
            )
            async for news in await stack.enter_async_context(self._news(batch)):
                self._take(news)
                await asyncio.sleep(0)

    @asynccontextmanager
    async def _news(self, batch: Batch) -> AsyncGenerator[_News, None]:
        """What the run gives, be files saved or not."""
        plan = self._plan
        if plan.folder is None:
            async with aclosing(batch.run(timeout=plan.timeout, window=plan.window)) as outcomes:
                yield outcomes
            return
        downloads = Downloads(
            self._client,
            to=plan.folder,
            at_once=plan.at_once,
            longest=plan.longest,
            patience=plan.patience,
            private=plan.private,
        )
        deliveries = batch.save(downloads, timeout=plan.timeout, window=plan.window)
        async with downloads, aclosing(deliveries):
            yield deliveries

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
