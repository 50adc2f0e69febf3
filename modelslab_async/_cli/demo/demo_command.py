"""The command `demo`: waits for many tickets of an emulator, and prints the results."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ... import FAMILIES, Client, Pace
from .. import options, output
from ..event_loop import run_async
from ..live_display import live_display
from ..out_folder_check import check_out_folder
from ..shared_command_errors import Interrupted, require_emulator
from ..stop_signals import stop_signals
from ..written_path_type import WrittenPath
from .make_pictures import make_pictures
from .planned_jobs import DemoPlan, PlannedJob
from .polling_loop_costs import compare_loops, describe_polling
from .statistics import DemoStatistics

if TYPE_CHECKING:
    from .emulator_process import EmulatorProcess

_KEY = "demo"
_PLAIN_INTERVAL_S = 1.0
NEXT_COMMANDS = (
    "modelslab-async emulate  (the same emulator, for your own program; no key)",
    'modelslab-async generate realtime/text2img --prompt "a lighthouse"  (with your key)',
    "for the emulator, add --allow-private to the second, because its links are private",
)


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
@click.option(
    "--out",
    "folder",
    type=WrittenPath(file_okay=False, path_type=Path),
    help="The folder for two pictures. Default: a new temporary folder.",
)
@options.debug
def demo(
    *,
    count: int,
    seed: int,
    failure_rate: float,
    duration: tuple[float, float],
    pace_floor: float,
    folder: Path | None,
) -> int:
    """
    Await many tickets of all families at once, without a key.

    An emulator of the service runs on this machine, in a process of its own. The demo knows when
    each job really ended. "noticed" is the time from that end until the client knew of it. At the
    end, the demo computes how often the polling loops of other clients would poll these jobs, and
    how late they would notice each end.
    """
    require_emulator()
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
    if folder is not None:
        check_out_folder(folder)
    stats = DemoStatistics()
    _announce(plan)
    # From now on, a signal must raise KeyboardInterrupt, so that the `with` block below ends the
    # emulator's process.
    stop_signals.raise_interrupts()
    try:
        with EmulatorProcess(plan) as emulator:
            stats.expect(emulator.jobs)
            pictures = run_async(_await_all_watched, emulator, stats, pace, folder)
            jobs = emulator.jobs
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {stats.completed:,} of {count:,} tickets had completed"
        ) from None
    _print_rows(stats.summary(min(stats.count, len(FAMILIES)), pace))
    _print_comparison(stats, jobs)
    _print_rows([("pictures", text) for text in pictures])
    _print_rows([("next", command) for command in NEXT_COMMANDS])
    return stats.exit_code


def _announce(plan: DemoPlan) -> None:
    """Print what the demo is going to do, because the emulator takes a moment to start."""
    output.print_message(
        f"{plan.count:,} jobs of {min(plan.count, len(FAMILIES))} families on an emulator on this "
        f"machine, {plan.min_duration:g} to {plan.max_duration:g} s each; {plan.failure_rate:.1%} "
        "of them fail on purpose"
    )


async def _await_all_watched(
    emulator: "EmulatorProcess", stats: DemoStatistics, pace: Pace, folder: Path | None
) -> list[str]:
    """Run `_await_all`. Raise an error if the emulator's process ends in the meantime."""
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(emulator.watch())
            pictures = await _await_all(emulator, stats, pace, folder)
            watch.cancel()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return pictures


async def _await_all(
    emulator: "EmulatorProcess", stats: DemoStatistics, pace: Pace, folder: Path | None
) -> list[str]:
    """Wait for all tickets, then make pictures. Return their paths, or why they were not saved."""
    # Use no proxy: a proxy on another machine cannot reach the emulator on this machine.
    os.environ["no_proxy"] = "127.0.0.1"
    async with Client(
        _KEY,
        enterprise_key=_KEY,
        base_url=emulator.base_url,
        legacy_base_url=emulator.base_url,
        pace=pace,
        on_event=stats.on_event,
    ) as client:
        tickets = stats.tickets
        began = emulator.start_jobs()
        async with live_display(
            _progress_bar(stats), lambda: stats.status_line, plain_interval_s=_PLAIN_INTERVAL_S
        ):
            async for outcome in client.stream(tickets, window=len(tickets)):
                stats.count_outcome(outcome, time.monotonic() - began)
        stats.seconds = time.monotonic() - began
        return await make_pictures(client, folder)


def _progress_bar(stats: DemoStatistics) -> Callable[[], RenderableType]:
    bar = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    task = bar.add_task("", total=stats.count)

    def render() -> RenderableType:
        bar.update(task, completed=stats.completed, description=stats.status_line)
        return bar.get_renderable()

    return render


def _print_comparison(stats: DemoStatistics, jobs: Iterable[PlannedJob]) -> None:
    output.make_console().print(
        "\nthe same jobs, and what the loops of other clients would have cost (computed):"
    )
    this = describe_polling(stats.polls / stats.count, stats.lateness)
    _print_rows([("this demo", this), *compare_loops(jobs)], width=17)
    output.make_console().print()


def _print_rows(rows: Iterable[tuple[str, str]], *, width: int = 12) -> None:
    console = output.make_console()
    for name, value in rows:
        text = Text.assemble((f"{name:<{width}}", "bold"), output.sanitize(value))
        console.print(text, soft_wrap=True)
