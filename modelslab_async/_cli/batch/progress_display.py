"""Shows the progress of a batch while it runs, and its summary at the end."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from ... import JournalError, Report
from .. import output
from ..live_display import live_display
from .progress import RunProgress

_PLAIN_INTERVAL_S = 5.0
_REPORT_INTERVAL_S = 5.0
# The seconds between reading the journal's counts and comparing them with the counts of this run. A
# result is first written to the journal and then counted by this run. Without this pause, a result
# between these two steps would seem to come from another process.
_IN_FLIGHT_DELAY_S = 0.5
# Wait at least 20 times as long as the most recent journal query took, so that queries take less
# than 5 % of the time.
_PAUSE_PER_QUERY_TIME = 20
_MAX_REASON_CHARS = 200


@asynccontextmanager
async def show_progress(
    progress: RunProgress, get_report: Callable[[], Awaitable[Report]], *, quiet: bool
) -> AsyncGenerator[None, None]:
    """
    Show the progress while the block runs, and once more at its end.

    Args:
        progress: The counts to show.
        get_report: Returns the counts of the journal, to which other processes may also write.
        quiet: True to show nothing.
    """
    began = time.monotonic()

    def sample() -> RunProgress:
        progress.add_sample(time.monotonic() - began)
        return progress

    async with live_display(
        lambda: render_progress(sample()),
        lambda: "; ".join(sample().status_lines()),
        plain_interval_s=_PLAIN_INTERVAL_S,
        quiet=quiet,
    ):
        refresh_task = asyncio.create_task(_refresh(progress, get_report))
        try:
            yield
            progress.close(await get_report())
        finally:
            refresh_task.cancel()


async def _refresh(progress: RunProgress, get_report: Callable[[], Awaitable[Report]]) -> None:
    """Update the counts from the journal repeatedly. Pause longer after a slow query."""
    clock = asyncio.get_running_loop().time
    pause = _REPORT_INTERVAL_S
    while True:
        await asyncio.sleep(pause)
        began = clock()
        with suppress(JournalError):
            try:
                report = await get_report()
            finally:
                pause = max(_REPORT_INTERVAL_S, _PAUSE_PER_QUERY_TIME * (clock() - began))
            await asyncio.sleep(_IN_FLIGHT_DELAY_S)
            progress.refresh(report)


def render_progress(progress: RunProgress) -> RenderableType:
    """Return what a terminal shows: a bar, the counts, the speed and the most recent failures."""
    completed, speed = progress.status_lines()
    bar = ProgressBar(total=max(1, progress.total), completed=progress.completed, width=40)
    # Wrap the bar in a `Padding`, because rich prints no line break after a bare `ProgressBar`.
    rows: list[RenderableType] = [Padding(bar, 0), Text(completed, style="bold"), Text(speed)]
    if progress.recent_failures:
        rows.append(Text("last failures:", style="red"))
    for ticket, reason in progress.recent_failures:
        line = Text.assemble(
            "  ",
            (output.sanitize(ticket), "bold"),
            "  ",
            output.sanitize(reason)[:_MAX_REASON_CHARS],
        )
        line.no_wrap, line.overflow = True, "ellipsis"
        rows.append(line)
    return Group(*rows)


def print_summary(console: Console, progress: RunProgress) -> None:
    """Print the final counts of a run, and the most common reasons for failure."""
    console.print(Text(progress.status_lines()[0]), soft_wrap=True)
    for line in progress.reason_lines(_MAX_REASON_CHARS):
        console.print(Text(f"  {output.sanitize(line)}"), soft_wrap=True)
