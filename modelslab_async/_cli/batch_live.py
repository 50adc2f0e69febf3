"""Batch live: how a run is shown while it goes: a bar on a terminal, plain lines elsewhere."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from . import show
from .batch_figures import Figures

_QUICK, _SLOW = 0.2, 5.0
_WIDTH = 120


@asynccontextmanager
async def shown(figures: Figures, *, quiet: bool) -> AsyncGenerator[None, None]:
    """Show the figures while the block runs, and once more at its end."""
    console = show.terminal(stderr=True)
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
    try:
        yield
    finally:
        drawing.cancel()
        draw()
        if live is not None:
            live.stop()


async def _repeat(draw: Callable[[], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        draw()


def picture(figures: Figures) -> RenderableType:
    """What a reader sees on a terminal."""
    settled, speed = figures.lines()
    bar = ProgressBar(total=max(1, figures.total), completed=figures.settled, width=40)
    # Alone, a bar ends no line.
    rows: list[RenderableType] = [Padding(bar, 0), Text(settled, style="bold"), Text(speed)]
    if figures.failures:
        rows.append(Text("last failures:", style="red"))
    for ticket, why in figures.failures:
        line = Text.assemble("  ", (show.plain(ticket), "bold"), "  ", show.plain(why)[:_WIDTH])
        line.no_wrap, line.overflow = True, "ellipsis"
        rows.append(line)
    return Group(*rows)


def sum_up(console: Console, figures: Figures) -> None:
    """Print what a run came to."""
    console.print(Text(figures.lines()[0]), soft_wrap=True)
    for why, count in figures.reasons.most_common(5):
        console.print(Text(f"  {count:,} x {show.plain(why)[:_WIDTH]}"), soft_wrap=True)
