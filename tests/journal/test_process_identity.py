"""A dead process is recognised, and no living one is taken for dead."""

import os
import signal
import subprocess
import sys

import pytest

from modelslab_async._journal import process_identity
from modelslab_async._journal.process_identity import has_died, this_process
from modelslab_async.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names its processes")

NAMED = """
from modelslab_async._journal.process_identity import this_process
print(this_process(), flush=True)
input()
"""
HOLDING = """
import asyncio, sys
from modelslab_async.journal import Journal

async def main():
    async with Journal.open(sys.argv[1]) as journal:
        await journal.add(["images:1"])
        run = await journal.leases.begin_run(lease=10_000)
        await journal.leases.claim(run, before_run=run, limit=1, lease=10_000)
        await journal.record_submit("t-1", endpoint="e", payload_hash="ab", run_id=run)
        print("claimed", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def path(file_path):
    """A file, because these tests are about files."""
    return file_path


@pytest.fixture
def start_program():
    """Start programs that print one line and wait."""
    processes = []

    def begin(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_living_process_has_not_died(start_program):
    """Neither this process nor another one."""
    assert not has_died(this_process())
    assert not has_died(start_program(NAMED)[1])


def test_killed_process_has_died(start_program):
    """With or without its parent having waited for it."""
    process, name = start_program(NAMED)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_died(name)
    process.wait()
    assert has_died(name)


def test_reused_pid_is_another_process():
    """The start time tells them apart."""
    machine, pid, began = this_process().split()
    assert has_died(f"{machine} {pid} {int(began) - 1}")


@pytest.mark.parametrize(
    "name", [None, "", "x", "another-boot/pid:[1] 1 1", "{machine}", "{machine} no-number 5"]
)
def test_unknown_process_has_not_died(name):
    """It may be on another machine or in another container."""
    machine = this_process().split()[0]
    assert not has_died(name and name.format(machine=machine))


def test_system_without_identities_knows_no_dead_process(monkeypatch, tmp_path):
    """There, only the lease counts."""
    own = this_process()
    monkeypatch.setattr(process_identity, "_BOOT_ID_PATH", tmp_path / "nothing")
    assert this_process() is None
    assert not has_died(own.replace(own.split()[2], "1"))


async def test_killed_process_frees_its_tickets_at_once(start_program, path):
    """Its lease does not matter, and its unanswered submit is uncertain at once."""
    process, line = start_program(HOLDING, path)
    assert "claimed" == line
    async with Journal.open(path) as journal:
        successor = await journal.leases.begin_run(lease=3600)
        claim = await journal.leases.claim(successor, before_run=successor, limit=1, lease=3600)
        assert ([], True) == (claim.tickets, claim.has_others)
        assert [] == await journal.uncertain()
        assert 1 == (await journal.report()).running
        process.kill()
        process.wait()
        assert 0 == (await journal.report()).running
        assert ["t-1"] == [each.track_id for each in await journal.uncertain()]
        claim = await journal.leases.claim(successor, before_run=successor, limit=1, lease=3600)
        assert ["images:1"] == [str(ticket) for _, ticket in claim.tickets]
