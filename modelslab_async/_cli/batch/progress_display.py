"""Batch live: how a run is shown while it goes: a bar on a terminal, plain lines elsewhere."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from ... import JournalError, Report
from .. import output
from .progress import RunProgress

_FAST_REFRESH_S, _IN_FLIGHT_DELAY_S, _SLOW_REFRESH_S = 0.2, 0.5, 5.0
# The journal is asked for one part in so many of the time.
_PAUSE_PER_QUERY_TIME = 20
_MAX_REASON_CHARS = 120


@asynccontextmanager
async def show_progress(
    progress: RunProgress, get_report: Callable[[], Awaitable[Report]], *, quiet: bool
) -> AsyncGenerator[None, None]:
    """
    Show the figures while the block runs, and once more at its end.

    Args:
        figures: What is shown.
        ask: What the journal holds by now: others may work on it, too.
        quiet: Whether to show nothing.
    """
    console = output.make_console(stderr=True)
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not quiet else None
    began = time.monotonic()

    def draw() -> None:
        progress.add_sample(time.monotonic() - began)
        if live is not None:
            live.update(render_progress(progress), refresh=True)
        elif not quiet:
            click.echo("; ".join(progress.status_lines()), err=True)

    if live is not None:
        live.start()
    draw_task = asyncio.create_task(_repeat(draw, _FAST_REFRESH_S if live else _SLOW_REFRESH_S))
    refresh_task = asyncio.create_task(_refresh(progress, get_report))
    try:
        yield
        progress.close(await get_report())
    finally:
        draw_task.cancel()
        refresh_task.cancel()
        draw()
        if live is not None:
            live.stop()


async def _repeat(draw: Callable[[], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        draw()


async def _refresh(progress: RunProgress, get_report: Callable[[], Awaitable[Report]]) -> None:
    """Ask the journal now and then, the more seldom the longer it takes to count."""
    pause = _SLOW_REFRESH_S
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        with suppress(JournalError):
            report = await get_report()
            # What was on its way to this run when the journal was read is here by then.
            await asyncio.sleep(_IN_FLIGHT_DELAY_S)
            progress.refresh(report)
        pause = max(_SLOW_REFRESH_S, _PAUSE_PER_QUERY_TIME * (time.monotonic() - began))


def render_progress(progress: RunProgress) -> RenderableType:
    """What a reader sees on a terminal."""
    completed, speed = progress.status_lines()
    bar = ProgressBar(total=max(1, progress.total), completed=progress.completed, width=40)
    # Alone, a bar ends no line.
    rows: list[RenderableType] = [Padding(bar, 0), Text(completed, style="bold"), Text(speed)]
    if progress.recent_failures:
        rows.append(Text("last failures:", style="red"))
    for ticket, why in progress.recent_failures:
        line = Text.assemble(
            "  ", (output.sanitize(ticket), "bold"), "  ", output.sanitize(why)[:_MAX_REASON_CHARS]
        )
        line.no_wrap, line.overflow = True, "ellipsis"
        rows.append(line)
    return Group(*rows)


def print_summary(console: Console, progress: RunProgress) -> None:
    """Print what a run came to."""
    console.print(Text(progress.status_lines()[0]), soft_wrap=True)
    for why in progress.why():
        console.print(Text(f"  {output.sanitize(why)[:_MAX_REASON_CHARS]}"), soft_wrap=True)
