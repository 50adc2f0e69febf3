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
from .progress import Figures

_QUICK, _LAG, _SLOW = 0.2, 0.5, 5.0
# The journal is asked for one part in so many of the time.
_SHARE = 20
_WIDTH = 120


@asynccontextmanager
async def shown(
    figures: Figures, ask: Callable[[], Awaitable[Report]], *, quiet: bool
) -> AsyncGenerator[None, None]:
    """
    Show the figures while the block runs, and once more at its end.

    Args:
        figures: What is shown.
        ask: What the journal holds by now: others may work on it, too.
        quiet: Whether to show nothing.
    """
    console = output.terminal(stderr=True)
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not quiet else None
    began = time.monotonic()

    def draw() -> None:
        figures.at(time.monotonic() - began)
        if live is not None:
            live.update(picture(figures), refresh=True)
        elif not quiet:
            click.echo("; ".join(figures.lines()), err=True)

    if live is not None:
        live.start()
    drawing = asyncio.create_task(_repeat(draw, _QUICK if live else _SLOW))
    asking = asyncio.create_task(_refresh(figures, ask))
    try:
        yield
        figures.close(await ask())
    finally:
        drawing.cancel()
        asking.cancel()
        draw()
        if live is not None:
            live.stop()


async def _repeat(draw: Callable[[], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        draw()


async def _refresh(figures: Figures, ask: Callable[[], Awaitable[Report]]) -> None:
    """Ask the journal now and then, the more seldom the longer it takes to count."""
    pause = _SLOW
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        with suppress(JournalError):
            report = await ask()
            # What was on its way to this run when the journal was read is here by then.
            await asyncio.sleep(_LAG)
            figures.refresh(report)
        pause = max(_SLOW, _SHARE * (time.monotonic() - began))


def picture(figures: Figures) -> RenderableType:
    """What a reader sees on a terminal."""
    settled, speed = figures.lines()
    bar = ProgressBar(total=max(1, figures.total), completed=figures.settled, width=40)
    # Alone, a bar ends no line.
    rows: list[RenderableType] = [Padding(bar, 0), Text(settled, style="bold"), Text(speed)]
    if figures.failures:
        rows.append(Text("last failures:", style="red"))
    for ticket, why in figures.failures:
        line = Text.assemble("  ", (output.plain(ticket), "bold"), "  ", output.plain(why)[:_WIDTH])
        line.no_wrap, line.overflow = True, "ellipsis"
        rows.append(line)
    return Group(*rows)


def sum_up(console: Console, figures: Figures) -> None:
    """Print what a run came to."""
    console.print(Text(figures.lines()[0]), soft_wrap=True)
    for why in figures.why():
        console.print(Text(f"  {output.plain(why)[:_WIDTH]}"), soft_wrap=True)
