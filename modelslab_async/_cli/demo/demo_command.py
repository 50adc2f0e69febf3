"""The command `demo`: awaits many tickets of an emulator, and prints the results and delays."""

import os
import time
from collections.abc import Callable

import click
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ... import FAMILIES, Client, Pace
from .. import options, output
from ..event_loop import run_async
from ..live_display import live_display
from ..startup_interrupt import raise_on_interrupt
from .planned_jobs import DemoPlan
from .statistics import DemoStatistics

_KEY = "demo"
_PLAIN_INTERVAL_S = 1.0


@click.command()
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="The number of tickets.",
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
    help="The shortest time between two polls of a ticket.",
)
@options.debug
def demo(
    *, count: int, seed: int, failure_rate: float, duration: tuple[float, float], pace_floor: float
) -> int:
    """
    Await many tickets of all families at once, without a key.

    An emulator of the service runs on this machine, in a process of its own. The demo knows when
    each job really ended. "noticed" is the time from that end until the client knew of it.
    """
    options.require_emulator()
    from .emulator_process import EmulatorProcess  # noqa: PLC0415 -- it imports an extra.

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
    # From here on there is a process to end.
    raise_on_interrupt()
    try:
        with EmulatorProcess(plan) as emulator:
            stats.expect(emulator.jobs)
            run_async(_await_all(emulator.base_url, emulator.start_jobs, stats, pace))
    except KeyboardInterrupt:
        raise options.Interrupted(
            f"interrupted; {stats.completed:,} of {count:,} tickets had completed"
        ) from None
    _print_summary(stats, pace)
    return stats.exit_code


async def _await_all(
    base_url: str, start_jobs: Callable[[], float], stats: DemoStatistics, pace: Pace
) -> None:
    # Use no proxy, because a proxy on another machine cannot reach the emulator on this machine.
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
        async with live_display(
            _progress_bar(stats), lambda: stats.status_line, plain_interval_s=_PLAIN_INTERVAL_S
        ):
            async for outcome in client.stream(tickets, window=len(tickets)):
                stats.count_outcome(outcome, time.monotonic() - began)
        stats.seconds = time.monotonic() - began


def _progress_bar(stats: DemoStatistics) -> Callable[[], RenderableType]:
    bar = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    task = bar.add_task("", total=stats.count)

    def render() -> RenderableType:
        bar.update(task, completed=stats.completed, description=stats.status_line)
        return bar.get_renderable()

    return render


def _print_summary(stats: DemoStatistics, pace: Pace) -> None:
    rows = stats.summary(min(stats.count, len(FAMILIES)), pace)
    console = output.make_console()
    for name, value in rows:
        text = Text.assemble((f"{name:<12}", "bold"), output.sanitize(value))
        console.print(text, soft_wrap=True)
