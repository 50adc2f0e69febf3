"""The progress of a batch: counts, speed, and the time left if it can be estimated."""

import asyncio
import io

import pytest
from attrs import evolve
from rich.console import Console

from modelslab_async import (
    Failed,
    JournalLocked,
    Polled,
    Processing,
    Report,
    Saved,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._cli.batch import progress_display
from modelslab_async._cli.batch.progress import RunProgress, format_duration
from modelslab_async._cli.batch.progress_display import render_progress

RUNNING = Processing(ticket=Ticket("images", 1))
POLLED = Polled(ticket=RUNNING.ticket, reply=RUNNING, elapsed=0.1, overdue=0.0, started_at=0.0)


def report(tickets, success=0):
    zero = dict.fromkeys(
        (
            "open",
            "running",
            "unresolved",
            "failed",
            "polls",
            "files",
            "save_pending",
            "unsaved",
            "saved",
        ),
        0,
    )
    return Report(**zero, tickets=tickets, success=success, uncertain=0)


def test_progress_includes_work_of_other_processes():
    """The journal's counts add the work of other processes, and its last counts are final."""
    progress = RunProgress()
    progress.begin(report(300, success=20), is_saving=False)
    for n in range(30):
        progress.count_result(success(n))
    progress.refresh(report(310, success=150))
    assert (310, 150, 100) == (progress.total, progress.completed, progress.done_by_others)
    assert "150 of 310 completed" in progress.status_lines()[0]
    progress.count_result(Unresolved(ticket=Ticket("images", 31), cause=WaitTimeout("late")))
    progress.close(evolve(report(310, success=308), unresolved=2))
    assert 310 == progress.completed
    assert "20 before this run, 259 by other processes" in progress.status_lines()[0]


def test_own_results_in_the_journal_are_not_counted_for_others():
    """The journal has a result shortly before the run yields it."""
    progress = RunProgress()
    progress.begin(report(300), is_saving=True)
    progress.refresh(evolve(report(300), saved=7))
    for n in range(7):
        progress.count_result(Saved(ticket=Ticket("images", n), files=(), success=success(n)))
    progress.refresh(evolve(report(300), saved=7))
    assert (7, 0) == (progress.completed, progress.done_by_others)


def test_time_left_includes_speed_of_other_processes():
    """Two processes need half the time, and both estimate it so."""
    progress = RunProgress()
    progress.begin(report(400), is_saving=False)
    for second in range(1, 11):
        for n in range(10):
            progress.count_result(success(10 * second + n))
        progress.refresh(report(400, success=20 * second))
        progress.add_sample(float(second))
    assert (10, 10) == tuple(map(round, progress.remaining()))


async def test_journal_is_counted_while_a_run_goes_on(monkeypatch):
    """The work of others is shown before the run ends, and a failed count does not end the run."""
    monkeypatch.setattr(progress_display, "_REPORT_INTERVAL_S", 0.01)
    monkeypatch.setattr(progress_display, "_IN_FLIGHT_DELAY_S", 0.0)
    progress, counts_by_others, seen = RunProgress(), [], asyncio.Event()
    progress.begin(report(300), is_saving=False)

    async def get_report():
        counts_by_others.append(progress.done_by_others)
        if progress.done_by_others == 250:
            seen.set()
        if len(counts_by_others) == 1:
            raise JournalLocked("for a while")
        return report(300, success=min(250, 50 * len(counts_by_others)))

    async with (
        asyncio.timeout(300),
        progress_display.show_progress(progress, get_report, quiet=True),
    ):
        await seen.wait()
    assert [0, 0, 100] == counts_by_others[:3]
    assert (300, 0) == (progress.completed, progress.open)


@pytest.mark.parametrize(("query_s", "interval_s"), [(0.0, 5.5), (0.125, 5.625), (2.0, 42.5)])
def test_journal_is_counted_less_often_if_a_count_takes_long(virtually, query_s, interval_s):
    """The pause depends on the time of the query alone, not on the wait for results in flight."""
    begun = []

    async def get_report():
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(query_s)
        if len(begun) == 2:
            raise JournalLocked("for a while")
        return report(300)

    async def main():
        progress = RunProgress()
        progress.begin(report(300), is_saving=False)
        async with progress_display.show_progress(progress, get_report, quiet=True):
            await asyncio.sleep(5.0 + 3 * interval_s)

    virtually(main)
    after_error = interval_s - progress_display._IN_FLIGHT_DELAY_S
    assert [5.0, 5.0 + interval_s, 5.0 + interval_s + after_error] == begun[:3]


def test_first_sample_shows_speed():
    """The first speed is the mean since the run began."""
    progress = RunProgress()
    progress.begin(report(100), is_saving=False)
    for n in range(50):
        progress.count_result(success(n))
        progress.on_event(POLLED)
    progress.add_sample(5.0)
    assert "50 open, 10 polls/s, about 5 s left" == progress.status_lines()[1]


def success(n):
    return Success(ticket=Ticket("images", n))


def test_time_left_is_a_range_of_two_speeds():
    """If a run has become slower, the time left is a range."""
    progress = RunProgress()
    progress.begin(report(400), is_saving=False)
    for second in range(1, 101):
        if second <= 40 or second % 3 == 0:
            for n in range(5 if second <= 40 else 1):
                progress.count_result(success(second * 10 + n))
        progress.add_sample(float(second))
    low, high = progress.remaining()
    assert 220 == progress.handled
    assert pytest.approx(180 * 100 / 220) == low
    assert pytest.approx(180 * 3, rel=0.05) == high
    assert "82 s to 9 min left at this speed" in progress.status_lines()[1]


def test_time_left_is_unknown_without_recent_results():
    """There is no estimate after few results, or after half a minute without one."""
    progress = RunProgress()
    progress.begin(report(100, success=20), is_saving=False)
    assert progress.remaining() is None
    for n in range(50):
        progress.count_result(success(n))
    progress.add_sample(1.0)
    progress.add_sample(2.0)
    for second in range(3, 60):
        progress.add_sample(float(second))
    assert (None, 30) == (progress.remaining(), progress.open)
    assert "time left unknown" in progress.status_lines()[1]


def test_failures_are_counted_by_reason():
    """The last failures are shown, and all are counted."""
    progress = RunProgress()
    progress.begin(report(20), is_saving=False)
    for n in range(9):
        progress.count_result(Failed(ticket=Ticket("images", n), message="no"))
    progress.count_result(Unresolved(ticket=Ticket("images", 10), cause=WaitTimeout("late")))
    assert {"no": 9, "late": 1} == progress.reasons
    assert "9 x no (images:0, images:1, images:2, images:3, images:4 and 4 more)" in (
        progress.reason_lines()
    )
    assert ("images:10", "late") == progress.recent_failures[-1]
    assert "10 of 20 completed (0 succeeded, 9 failed, 1 given up)" == progress.status_lines()[0]


def test_live_display_shows_bar_counts_speed_and_failures():
    """The display shows no control character of a server."""
    progress = RunProgress()
    progress.begin(report(20), is_saving=False)
    progress.count_result(Failed(ticket=Ticket("images", 7), message="no\x1b[31m"))
    progress.add_sample(1.0)
    console = Console(width=80, file=io.StringIO())
    console.print(render_progress(progress))
    bar, completed, speed, head, failure = console.file.getvalue().splitlines()
    assert {"━", " ", "╸", "╺"} >= {*bar}
    assert "1 of 20 completed (0 succeeded, 1 failed)" == completed.strip()
    assert "19 open, 0 polls/s, time left unknown" == speed.strip()
    assert ("last failures:", "images:7  no\\x1b[31m") == (head.strip(), failure.strip())


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_duration_is_shown_in_a_suitable_unit(seconds, words):
    """A duration is shown in seconds, minutes or hours."""
    assert words == format_duration(seconds)
