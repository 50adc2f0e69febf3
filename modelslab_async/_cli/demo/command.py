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
from .planned_jobs import DemoPlan
from .statistics import DemoStatistics

_KEY = "demo"
_FAST_REFRESH_S, _SLOW_REFRESH_S = 0.1, 1.0


@click.command()
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="How many tickets.",
)
@options.seed
@options.failure_rate(0.05)
@options.duration
@click.option(
    "--pace-floor",
    type=options.NumberRange(0.001, 60.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="The least seconds between two polls at a ticket.",
)
@options.debug
def demo(
    *, count: int, seed: int, failure_rate: float, duration: tuple[float, float], pace_floor: float
) -> int:
    """
    Await many tickets of all families at once, without a key.

    An emulator of the service runs on this machine, in a process of its own. It says when each job
    really ended, so "noticed" is the whole delay until the client knew.
    """
    options.require_emulator()
    from .server_control import EmulatorProcess  # noqa: PLC0415 -- it imports an extra.

    min_duration, max_duration = duration
    plan = DemoPlan(
        count=count,
        seed=seed,
        failure_rate=failure_rate,
        min_duration=min_duration,
        max_duration=max_duration,
    )
    pace = Pace(floor=pace_floor)
    stats = DemoStatistics()
    try:
        with EmulatorProcess(plan) as service:
            stats.expect(service.jobs)
            run_async(_await_all(service.base_url, service.start_jobs, stats, pace))
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted; {stats.completed:,} of {count:,} tickets had completed"
        ) from None
    _print_summary(stats, pace)
    return stats.exit_code


async def _await_all(
    base_url: str, start_jobs: Callable[[], float], stats: DemoStatistics, pace: Pace
) -> None:
    # This process talks to its own machine only, which no proxy could reach.
    os.environ["no_proxy"] = "127.0.0.1"
    async with Client(
        _KEY,
        enterprise_key=_KEY,
        base_url=base_url,
        legacy_base_url=base_url,
        pace=pace,
        on_event=stats.on_event,
    ) as client:
        tickets = stats.tickets
        began = start_jobs()
        with _show_progress(stats) as (draw, seconds):
            draw_task = asyncio.create_task(_repeat(draw, seconds))
            try:
                async for outcome in client.stream(tickets, window=len(tickets)):
                    stats.count_outcome(outcome, time.monotonic() - began)
            finally:
                draw_task.cancel()
                draw()
        stats.seconds = time.monotonic() - began


async def _repeat(draw: Callable[[], None], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        draw()


@contextmanager
def _show_progress(
    stats: DemoStatistics,
) -> Generator[tuple[Callable[[], None], float], None, None]:
    """How to show where the run is, and how often: a bar on a terminal, else plain lines."""
    console = output.make_console(stderr=True)
    if not console.is_terminal:
        yield (lambda: click.echo(stats.status_line, err=True)), _SLOW_REFRESH_S
        return
    bar = Progress(
        BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
    )
    with bar:
        task = bar.add_task("", total=stats.count)
        yield (
            lambda: bar.update(task, completed=stats.completed, description=stats.status_line),
            _FAST_REFRESH_S,
        )


def _print_summary(stats: DemoStatistics, pace: Pace) -> None:
    rows = stats.summary(min(stats.count, len(FAMILIES)), pace)
    console = output.make_console()
    for name, value in rows:
        text = Text.assemble((f"{name:<12}", "bold"), output.sanitize(value))
        console.print(text, soft_wrap=True)
