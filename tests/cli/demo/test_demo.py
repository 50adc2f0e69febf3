"""`demo`: its results are true, and it leaves no process behind."""

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

from ..conftest import TIMEOUT_S, children, is_alive

HAS_PROC = Path("/proc/self/stat").exists()
QUICK = ("--count", "60", "--duration", "0.1:0.4", "--pace-floor", "0.1")
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="processes are found in /proc")


def eventually(condition, *, seconds=60.0):
    """Wait until the condition returns something, and return that."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def test_demo_prints_its_results(program):
    """All tickets end, and the results are printed. A job that fails as planned is no error."""
    run = program("demo", *QUICK, "--failure-rate", "0.5", MODELSLAB_API_KEY=None)
    assert 0 == run.returncode
    shown = {line.split()[0]: line for line in run.stdout.splitlines()}
    assert {"tickets", "completed", "noticed", "polls", "requests", "time"} <= set(shown)
    assert "60 (" in shown["completed"]
    assert "60 of 60 completed" in run.stderr


def test_demo_ignores_proxies_of_the_environment(program):
    """The demo talks only to this machine, whatever the environment says."""
    run = program("demo", *QUICK, HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert 0 == run.returncode


def test_terminal_shows_progress_bar(program):
    """On a terminal the progress is shown as a bar."""
    exit_code, shown = program.on_terminal("demo", *QUICK)
    assert 0 == exit_code
    assert "60 of 60 completed" in shown
    assert "━" in shown


@needs_proc
def test_demo_leaves_no_process(program):
    """The emulator's process ends with the demo."""
    with program.start("demo", *QUICK) as process:
        (child,) = eventually(lambda: children(process.pid))
        process.communicate(timeout=TIMEOUT_S)
    assert 0 == process.returncode
    assert not is_alive(child)


@needs_proc
@pytest.mark.parametrize("moment", ["at once", "later"])
@pytest.mark.parametrize("receiver", ["group", "parent"])
def test_ctrl_c_leaves_no_process(program, receiver, moment):
    """Ctrl-C to the process group or to the demo alone ends both processes."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        if moment == "later":
            assert "of 60 completed" in process.stderr.readline()
        (os.killpg if receiver == "group" else os.kill)(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 130 == process.returncode
    assert "interrupted; 0 of 60 tickets had completed" in messages.splitlines()[-1]
    assert "Traceback" not in messages
    eventually(lambda: not is_alive(child))


@needs_proc
def test_killed_demo_leaves_no_process(program):
    """The emulator's process ends even if the demo is killed."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        process.stderr.readline()
        process.kill()
    eventually(lambda: not is_alive(child))


@needs_proc
def test_demo_reports_a_killed_emulator(program):
    """If its emulator is killed, the demo ends with a message and does not hang."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        os.kill(child, signal.SIGKILL)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 70 == process.returncode
    assert "ended by itself" in messages


@pytest.mark.parametrize("count", ["0", "100001", "many"])
def test_count_out_of_range_is_refused(count):
    """A number of tickets that is out of range is refused."""
    with pytest.raises(click.BadParameter):
        demo.make_context("demo", ["--count", count])


def test_same_seed_makes_same_jobs():
    """Jobs are reproducible, of all families, and fail at the given rate."""
    plan = DemoPlan(count=1000, seed=7, failure_rate=0.25, min_duration=2.0, max_duration=6.0)
    jobs = list(plan_jobs(plan))
    assert jobs == list(plan_jobs(plan))
    assert 1000 == len({job.ticket for job in jobs})
    assert 200 < sum(job.fails for job in jobs) < 300
    assert all(2.0 <= job.duration <= 6.0 for job in jobs)


def test_lateness_is_measured_from_the_end_of_the_job():
    """The lateness is the time from the end of a job until the client knew."""
    stats = DemoStatistics()
    stats.expect(
        [PlannedJob("images:1", 2.0, fails=False), PlannedJob("images:2", 3.0, fails=True)]
    )
    one, two = Ticket("images", 1), Ticket("images", 2)
    stats.on_event(Polled(ticket=one, reply=Processing(ticket=one), elapsed=0.1, overdue=1.5))
    stats.count_outcome(Success(ticket=one), 2.5)
    stats.count_outcome(Failed(ticket=two), 4.5)
    stats.seconds = 4.5
    rows = dict(stats.summary(1, Pace()))
    assert "up to 1.50 s" in rows["overdue"]
    assert rows["noticed"].startswith("median 1.00 s, worst 1.50 s")
    assert rows["polls"].startswith("1,")
    assert 0 == stats.exit_code


def test_wrong_or_missing_outcome_is_an_error():
    """An outcome that is missing or not as planned is reported and is an internal error."""
    stats = DemoStatistics()
    stats.expect(
        [PlannedJob("images:1", 2.0, fails=False), PlannedJob("images:2", 3.0, fails=True)]
    )
    stats.count_outcome(Failed(ticket=Ticket("images", 1)), 2.5)
    stats.seconds = 4.5
    assert dict(stats.summary(1, Pace()))["WRONG"].startswith("2 outcomes")
    assert 70 == stats.exit_code
