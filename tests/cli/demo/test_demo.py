"""`demo`: it ends, it tells the truth, and it leaves no process behind."""

import os
import signal
import time
from pathlib import Path

import click
import pytest

from modelslab_async import Failed, Pace, Polled, Processing, Success, Ticket
from modelslab_async._cli.demo.demo_command import demo
from modelslab_async._cli.demo.planned_jobs import DemoPlan, PlannedJob, plan_jobs
from modelslab_async._cli.demo.statistics import DemoStatistics

from ..conftest import children, is_alive

HAS_PROC = Path("/proc/self/stat").exists()
QUICK = ("--count", "60", "--duration", "0.1:0.4", "--pace-floor", "0.1")
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="processes are found in /proc")


def eventually(condition, *, seconds=10.0):
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def test_it_shows_what_a_user_wants_to_see(program):
    """All tickets settle, and the figures are told; a job that was to fail is no failure."""
    run = program("demo", *QUICK, "--failure-rate", "0.5", MODELSLAB_API_KEY=None)
    assert 0 == run.returncode
    shown = {line.split()[0]: line for line in run.stdout.splitlines()}
    assert {"tickets", "completed", "noticed", "polls", "requests", "time"} <= set(shown)
    assert "60 (" in shown["completed"]
    assert "60 of 60 completed" in run.stderr


def test_no_proxy_and_no_key_of_the_user_is_involved(program):
    """The demo stays on this machine whatever the environment says."""
    run = program("demo", *QUICK, HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert 0 == run.returncode


def test_a_terminal_sees_a_bar(program):
    """On a terminal the progress is a bar that moves."""
    exit_code, shown = program.on_terminal("demo", *QUICK)
    assert 0 == exit_code
    assert "60 of 60 completed" in shown
    assert "━" in shown


@needs_proc
def test_it_leaves_no_process(program):
    """The service's process ends with the demo."""
    with program.start("demo", *QUICK) as process:
        (child,) = eventually(lambda: children(process.pid))
        process.communicate(timeout=20)
    assert 0 == process.returncode
    assert not is_alive(child)


@needs_proc
@pytest.mark.parametrize("moment", ["at once", "later"])
@pytest.mark.parametrize("whom", ["group", "parent"])
def test_ctrl_c_leaves_no_process(program, whom, moment):
    """Ctrl-C, to the group or to the demo alone, ends both processes; it says one line."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        if moment == "later":
            assert "of 60 completed" in process.stderr.readline()
        (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=10)
    assert 130 == process.returncode
    assert "interrupted; 0 of 60 tickets had completed" in told.splitlines()[-1]
    assert "Traceback" not in told
    eventually(lambda: not is_alive(child))


@needs_proc
def test_a_killed_demo_leaves_no_process(program):
    """Even where the demo could not say goodbye, its service ends."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        process.stderr.readline()
        process.kill()
    eventually(lambda: not is_alive(child))


@needs_proc
def test_a_service_that_dies_is_told(program):
    """A demo whose service is killed under it does not hang."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        os.kill(child, signal.SIGKILL)
        _, told = process.communicate(timeout=20)
    assert 70 == process.returncode
    assert "ended by itself" in told


@pytest.mark.parametrize("count", ["0", "100001", "many"])
def test_a_count_is_bounded(count):
    """What no demo could show is refused."""
    with pytest.raises(click.BadParameter):
        demo.make_context("demo", ["--count", count])


def test_the_same_seed_makes_the_same_jobs():
    """The draw is reproducible, covers the families in turn and fails as often as asked."""
    plan = DemoPlan(count=1000, seed=7, failure_rate=0.25, min_duration=2.0, max_duration=6.0)
    jobs = list(plan_jobs(plan))
    assert jobs == list(plan_jobs(plan))
    assert 1000 == len({job.ticket for job in jobs})
    assert 200 < sum(job.fails for job in jobs) < 300
    assert all(2.0 <= job.duration <= 6.0 for job in jobs)


def test_lateness_is_counted_from_the_true_end():
    """What the figures say is the time from the job's real end to the client's knowing."""
    figures = DemoStatistics()
    figures.expect(
        [PlannedJob("images:1", 2.0, fails=False), PlannedJob("images:2", 3.0, fails=True)]
    )
    one, two = Ticket("images", 1), Ticket("images", 2)
    figures.on_event(Polled(ticket=one, reply=Processing(ticket=one), elapsed=0.1, overdue=1.5))
    figures.count_outcome(Success(ticket=one), 2.5)
    figures.count_outcome(Failed(ticket=two), 4.5)
    figures.seconds = 4.5
    rows = dict(figures.summary(1, Pace()))
    assert "up to 1.50 s" in rows["overdue"]
    assert rows["noticed"].startswith("median 1.00 s, worst 1.50 s")
    assert rows["polls"].startswith("1,")
    assert 0 == figures.exit_code


def test_a_wrong_outcome_is_not_passed_over():
    """An outcome that is not what was planted, or that is missing, is told and is a defect."""
    figures = DemoStatistics()
    figures.expect(
        [PlannedJob("images:1", 2.0, fails=False), PlannedJob("images:2", 3.0, fails=True)]
    )
    figures.count_outcome(Failed(ticket=Ticket("images", 1)), 2.5)
    figures.seconds = 4.5
    assert dict(figures.summary(1, Pace()))["WRONG"].startswith("2 outcomes")
    assert 70 == figures.exit_code
