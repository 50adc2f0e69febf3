"""Figures of a batch: what is told of speed and of the time left is true, or is not told."""

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
LOOKED = Polled(ticket=RUNNING.ticket, reply=RUNNING, elapsed=0.1, overdue=0.0)


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


def test_what_others_do_is_seen():
    """Now and then the journal is asked, and its word in the end is the last."""
    figures = RunProgress()
    figures.begin(report(300, success=20), is_saving=False)
    for n in range(30):
        figures.count_result(success(n))
    figures.refresh(report(310, success=150))
    assert (310, 150, 100) == (figures.total, figures.completed, figures.done_by_others)
    assert "150 of 310 completed" in figures.status_lines()[0]
    figures.count_result(Unresolved(ticket=Ticket("images", 31), cause=WaitTimeout("late")))
    figures.close(evolve(report(310, success=308), unresolved=2))
    assert 310 == figures.completed
    assert "20 before this run, 259 by other processes" in figures.status_lines()[0]


def test_what_is_on_its_way_here_is_nobody_elses():
    """The journal has an outcome a moment before the run gives it."""
    figures = RunProgress()
    figures.begin(report(300), is_saving=True)
    figures.refresh(evolve(report(300), saved=7))
    for n in range(7):
        figures.count_result(Saved(ticket=Ticket("images", n), files=(), success=success(n)))
    figures.refresh(evolve(report(300), saved=7))
    assert (7, 0) == (figures.completed, figures.done_by_others)


def test_others_count_for_the_time_that_is_left():
    """Two do it in half the time, whichever of them is asked."""
    figures = RunProgress()
    figures.begin(report(400), is_saving=False)
    for second in range(1, 11):
        for n in range(10):
            figures.count_result(success(10 * second + n))
        figures.refresh(report(400, success=20 * second))
        figures.add_sample(float(second))
    assert (10, 10) == tuple(map(round, figures.remaining()))


async def test_the_journal_is_asked_while_a_run_goes(monkeypatch):
    """What others did is seen before this run has ended, and no trouble of a look ends it."""
    monkeypatch.setattr(progress_display, "_REPORT_INTERVAL_S", 0.01)
    monkeypatch.setattr(progress_display, "_IN_FLIGHT_DELAY_S", 0.0)
    figures, asked, seen = RunProgress(), [], asyncio.Event()
    figures.begin(report(300), is_saving=False)

    async def get_report():
        asked.append(figures.done_by_others)
        if figures.done_by_others == 250:
            seen.set()
        if len(asked) == 1:
            raise JournalLocked("for a while")
        return report(300, success=min(250, 50 * len(asked)))

    async with asyncio.timeout(60), progress_display.show_progress(figures, get_report, quiet=True):
        await seen.wait()
    assert [0, 0, 100] == asked[:3]
    assert (300, 0) == (figures.completed, figures.open)


def test_the_first_line_knows_the_speed():
    """It goes by the time since the run began."""
    figures = RunProgress()
    figures.begin(report(100), is_saving=False)
    for n in range(50):
        figures.count_result(success(n))
        figures.on_event(LOOKED)
    figures.add_sample(5.0)
    assert "50 open, 10 polls/s, about 5 s left" == figures.status_lines()[1]


def success(n):
    return Success(ticket=Ticket("images", n))


def test_time_left_is_two_speeds():
    """A run that has become slower says so: from the speed of all of it to that of now."""
    figures = RunProgress()
    figures.begin(report(400), is_saving=False)
    for second in range(1, 101):
        if second <= 40 or second % 3 == 0:
            for n in range(5 if second <= 40 else 1):
                figures.count_result(success(second * 10 + n))
        figures.add_sample(float(second))
    low, high = figures.remaining()
    assert 220 == figures.handled
    assert pytest.approx(180 * 100 / 220) == low
    assert pytest.approx(180 * 3, rel=0.05) == high
    assert "82 s to 9 min left at this speed" in figures.status_lines()[1]


def test_nothing_is_said_that_nobody_knows():
    """With a few completed, or none for half a minute, there is no telling."""
    figures = RunProgress()
    figures.begin(report(100, success=20), is_saving=False)
    assert figures.remaining() is None
    for n in range(50):
        figures.count_result(success(n))
    figures.add_sample(1.0)
    figures.add_sample(2.0)
    for second in range(3, 60):
        figures.add_sample(float(second))
    assert (None, 30) == (figures.remaining(), figures.open)
    assert "time left unknown" in figures.status_lines()[1]


def test_what_went_wrong_is_counted_by_its_reason():
    """The last ones are shown, all are counted."""
    figures = RunProgress()
    figures.begin(report(20), is_saving=False)
    for n in range(9):
        figures.count_result(Failed(ticket=Ticket("images", n), message="no"))
    figures.count_result(Unresolved(ticket=Ticket("images", 10), cause=WaitTimeout("late")))
    assert {"no": 9, "late": 1} == figures.reasons
    assert ("images:10", "late") == figures.recent_failures[-1]
    assert "10 of 20 completed (0 succeeded, 9 failed, 1 given up)" == figures.status_lines()[0]


def test_the_live_display_has_a_line_for_each_thing():
    """A bar, how many, how fast, and the last failures with no control character of a server."""
    figures = RunProgress()
    figures.begin(report(20), is_saving=False)
    figures.count_result(Failed(ticket=Ticket("images", 7), message="no\x1b[31m"))
    figures.add_sample(1.0)
    console = Console(width=80, file=io.StringIO())
    console.print(render_progress(figures))
    bar, completed, speed, head, failure = console.file.getvalue().splitlines()
    assert {"━", " ", "╸", "╺"} >= {*bar}
    assert "1 of 20 completed (0 succeeded, 1 failed)" == completed.strip()
    assert "19 open, 0 polls/s, time left unknown" == speed.strip()
    assert ("last failures:", "images:7  no\\x1b[31m") == (head.strip(), failure.strip())


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_lengths_of_time(seconds, words):
    """As precise as a reader wants it."""
    assert words == format_duration(seconds)
