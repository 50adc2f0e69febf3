"""The command `demo`: many tickets awaited without a key, and what a user wants to see of it."""

import asyncio
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ... import FAMILIES, Client, Pace
from .. import options, output
from ..event_loop import run_async
from .planned_jobs import Order
from .statistics import Figures

_KEY = "demo"
_QUICK, _SLOW = 0.1, 1.0


@click.command()
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="How many tickets.",
)
@options.seed
@options.failing(0.05)
@options.duration
@click.option(
    "--pace-floor",
    type=options.Numbers(0.001, 60.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="The least seconds between two looks at a ticket.",
)
@options.debug
def demo(
    *, count: int, seed: int, failing: float, duration: tuple[float, float], pace_floor: float
) -> int:
    """
    Await many tickets of all families at once, without a key.

    An emulator of the service runs on this machine, in a process of its own. It says when each job
    really ended, so "noticed" is the whole delay until the client knew.
    """
    options.need_emulator()
    from .server_control import Service  # noqa: PLC0415 -- it imports an extra.

    shortest, longest = duration
    order = Order(count=count, seed=seed, failing=failing, shortest=shortest, longest=longest)
    pace = Pace(floor=pace_floor)
    figures = Figures()
    try:
        with Service(order) as service:
            figures.expect(service.jobs)
            run_async(_await_all(service.base_url, service.start_jobs, figures, pace))
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted; {figures.settled:,} of {count:,} tickets had settled"
        ) from None
    _report(figures, pace)
    return figures.code


async def _await_all(
    base_url: str, start_jobs: Callable[[], float], figures: Figures, pace: Pace
) -> None:
    # This process talks to its own machine only, which no proxy could reach.
    os.environ["no_proxy"] = "127.0.0.1"
    async with Client(
        _KEY,
        enterprise_key=_KEY,
        base_url=base_url,
        legacy_base_url=base_url,
        pace=pace,
        on_event=figures.hear,
    ) as client:
        tickets = figures.tickets
        began = start_jobs()
        with _progress(figures) as (draw, seconds):
            drawing = asyncio.create_task(_repeat(draw, seconds))
            try:
                async for outcome in client.stream(tickets, window=len(tickets)):
                    figures.take(outcome, time.monotonic() - began)
            finally:
                drawing.cancel()
                draw()
        figures.seconds = time.monotonic() - began


async def _repeat(draw: Callable[[], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        draw()


@contextmanager
def _progress(figures: Figures) -> Generator[tuple[Callable[[], None], float], None, None]:
    """How to show where the run is, and how often: a bar on a terminal, else plain lines."""
    console = output.terminal(stderr=True)
    if not console.is_terminal:
        yield (lambda: click.echo(figures.line, err=True)), _SLOW
        return
    bar = Progress(
        BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
    )
    with bar:
        task = bar.add_task("", total=figures.count)
        yield lambda: bar.update(task, completed=figures.settled, description=figures.line), _QUICK


def _report(figures: Figures, pace: Pace) -> None:
    rows = figures.summary(min(figures.count, len(FAMILIES)), pace)
    console = output.terminal()
    for name, value in rows:
        text = Text.assemble((f"{name:<12}", "bold"), output.plain(value))
        console.print(text, soft_wrap=True)
