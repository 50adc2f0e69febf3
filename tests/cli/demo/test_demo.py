"""`demo`: its results are true, and it leaves no process behind."""

import os
import signal
import time
from pathlib import Path

import click
import httpx
import pytest
from everyday import cases

from modelslab_async import Client, Failed, Pace, Polled, Processing, Success, Ticket
from modelslab_async._cli.demo.demo_command import demo
from modelslab_async._cli.demo.make_pictures import make_pictures
from modelslab_async._cli.demo.planned_jobs import DemoPlan, PlannedJob, plan_jobs
from modelslab_async._cli.demo.polling_loop_costs import OTHER_LOOPS, PollingLoop, compare_loops
from modelslab_async._cli.demo.statistics import DemoStatistics
from modelslab_async.emulator import Emulator, Jobs

from ..conftest import TIMEOUT_S, children, is_alive, processes_of_session

HAS_PROC = Path("/proc/self/stat").exists()
QUICK = ("--count", "60", "--duration", "0.1:0.4", "--pace-floor", "0.1")
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="processes are found in /proc")


def eventually(condition):
    """Wait until the condition returns something, and return that."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


@pytest.fixture
def quick(tmp_path):
    """The options of a quick demo, whose pictures go into a folder of the test."""
    return (*QUICK, "--out", str(tmp_path / "pictures"))


def test_demo_prints_its_results(program, quick, tmp_path):
    """All tickets end, and the results are printed. A job that fails as planned is no error."""
    run = program("demo", *quick, "--failure-rate", "0.5", MODELSLAB_API_KEY=None)
    assert 0 == run.returncode
    shown = {line.split()[0]: line for line in run.stdout.splitlines() if line}
    rows = {"tickets", "completed", "failed", "noticed", "polls", "requests", "time", "next"}
    assert rows <= set(shown)
    assert "60 (" in shown["completed"]
    assert "on purpose" in shown["failed"]
    assert {loop.name.split()[0] for loop in OTHER_LOOPS} <= set(shown)
    assert "60 of 60 completed" in run.stderr
    pictures = sorted((tmp_path / "pictures").glob("*.jpg"))
    assert 2 == len(pictures)
    assert {f"pictures    {path}" for path in pictures} <= set(run.stdout.splitlines())


def test_demo_says_first_what_it_will_do(program, quick):
    """The first line comes before the emulator has started, and names the share that fails."""
    with program.start("demo", *quick, "--failure-rate", "0.25") as process:
        first = process.stderr.readline()
        process.communicate(timeout=TIMEOUT_S)
    assert "60 jobs of 47 families" in first
    assert "25.0% of them fail on purpose" in first


async def test_picture_that_cannot_be_saved_is_reported(tmp_path):
    """The demo goes on without pictures, and says why there are none."""
    emulator = Emulator(jobs=Jobs(immediate=1.0))
    taken = tmp_path / "taken"
    taken.touch()
    async with Client("any-key", http=httpx.ASGITransport(app=emulator)) as client:
        texts = await make_pictures(client, taken)
    assert ["not saved"] * len(texts) == [text.partition(":")[0] for text in texts]
    assert texts


def test_demo_ignores_proxies_of_the_environment(program, quick):
    """The demo talks only to this machine, whatever the environment says."""
    run = program("demo", *quick, HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert 0 == run.returncode


def test_terminal_shows_progress_bar(program, quick):
    """On a terminal the progress is shown as a bar."""
    exit_code, shown = program.on_terminal("demo", *quick)
    assert 0 == exit_code
    assert "60 of 60 completed" in shown
    assert "━" in shown


@needs_proc
def test_demo_leaves_no_process(program, quick):
    """The emulator's process ends before the demo does."""
    with program.start("demo", *quick) as process:
        process.communicate(timeout=TIMEOUT_S)
        left = processes_of_session(process.pid)
    assert (0, []) == (process.returncode, left)


@needs_proc
@pytest.mark.parametrize(
    ("stop", "receiver", "moment"),
    cases(
        [
            (signal.SIGINT, "group", "at once"),
            (signal.SIGINT, "parent", "later"),
            (signal.SIGTERM, "all", "at once"),
            (signal.SIGTERM, "all", "later"),
        ],
        [
            (signal.SIGINT, "group", "later"),
            (signal.SIGINT, "parent", "at once"),
            (signal.SIGTERM, "parent", "later"),
        ],
    ),
)
def test_signal_leaves_no_process(program, stop, receiver, moment):
    """A signal to the demo alone, to its group or to both processes ends both in order."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        assert {process.pid, child} <= {*processes_of_session(process.pid)}
        if moment == "later":
            process.stderr.readline()
            assert "of 60 completed" in process.stderr.readline()
        if receiver == "all":
            # As a service manager does, in the worse order.
            os.kill(child, stop)
        (os.killpg if receiver == "group" else os.kill)(process.pid, stop)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 128 + stop == process.returncode
    assert "interrupted; 0 of 60 tickets had completed" in messages.splitlines()[-1]
    assert "Traceback" not in messages
    eventually(lambda: not is_alive(child))


@needs_proc
def test_sigterm_to_the_emulator_does_not_end_it(program):
    """A service manager sends SIGTERM to all processes, but the client needs the emulator still."""
    with program.start(
        "demo", "--count", "60", "--duration", "2", "--failure-rate", "0"
    ) as process:
        (child,) = eventually(lambda: children(process.pid))
        os.kill(child, signal.SIGTERM)
        _, messages = process.communicate(timeout=TIMEOUT_S)
    assert 0 == process.returncode, messages


@needs_proc
def test_killed_demo_leaves_no_process(program):
    """The emulator's process ends even if the demo is killed."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        process.stderr.readline()
        process.kill()
    eventually(lambda: not is_alive(child))


@needs_proc
@pytest.mark.parametrize("moment", ["at once", "later"])
def test_demo_reports_a_killed_emulator(program, moment):
    """If its emulator is killed, the demo ends with a message and does not hang."""
    with program.start("demo", "--count", "60", "--duration", "60") as process:
        (child,) = eventually(lambda: children(process.pid))
        if moment == "later":
            process.stderr.readline()
            assert "of 60 completed" in process.stderr.readline()
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
    stats.on_event(
        Polled(ticket=one, reply=Processing(ticket=one), elapsed=0.1, overdue=1.5, started_at=0.0)
    )
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


TEN_TRIES = PollingLoop(
    name="x", first_poll_s=0.0, interval_s=2.0, max_polls=10, ends_on_failure=False
)


@pytest.mark.parametrize(
    ("loop", "duration", "fails", "polls", "late"),
    [
        (PollingLoop(name="x", first_poll_s=0.0, interval_s=0.5), 1.2, False, 4, 0.3),
        (PollingLoop(name="x", first_poll_s=0.5, interval_s=0.5), 1.2, True, 3, 0.3),
        (PollingLoop(name="x", first_poll_s=0.5, interval_s=0.5), 0.1, False, 1, 0.4),
        (TEN_TRIES, 0.0, False, 1, 0.0),
        (TEN_TRIES, 3.0, False, 3, 1.0),
        (TEN_TRIES, 3.0, True, 10, 17.0),
        (TEN_TRIES, 18.0, False, 10, 0.0),
        (TEN_TRIES, 18.5, False, 10, None),
    ],
)
def test_polling_loop_is_computed_by_its_rule(loop, duration, fails, polls, late):
    """The loop polls at its fixed times, and may give up or miss that a job has failed."""
    assert (polls, pytest.approx(late) if late is not None else None) == loop.simulate(
        PlannedJob("images:1", duration, fails)
    )


def test_comparison_says_how_many_jobs_a_loop_gives_up():
    """A loop with a limit of polls gives up on jobs that run longer."""
    rows = dict(compare_loops([PlannedJob("images:1", 30.0, fails=False)]))
    assert {loop.name for loop in OTHER_LOOPS} == rows.keys()
    assert "gave up on 1" in rows["official JS, Go"]
    assert "60.0 polls a ticket" in rows["replicate"]
