"""Holders: a process that has died is known to have, and no living one is taken for dead."""

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
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def begun():
    """Starts programs that say one line and stay."""
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


def test_who_lives_has_not_died(begun):
    """Neither this process nor another one."""
    assert not has_died(this_process())
    assert not has_died(begun(NAMED)[1])


def test_who_was_killed_has_died(begun):
    """Whether or not its parent has taken note."""
    process, name = begun(NAMED)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_died(name)
    process.wait()
    assert has_died(name)


def test_a_number_that_went_to_another_process():
    """When a process began tells it from those that had its number before."""
    machine, pid, began = this_process().split()
    assert has_died(f"{machine} {pid} {int(began) - 1}")


@pytest.mark.parametrize(
    "name", [None, "", "x", "another-boot/pid:[1] 1 1", "{machine}", "{machine} no-number 5"]
)
def test_of_whom_nothing_is_known_nothing_is_said(name):
    """Another machine's process, another container's, and what is no name at all."""
    machine = this_process().split()[0]
    assert not has_died(name and name.format(machine=machine))


def test_where_processes_have_no_names(monkeypatch, tmp_path):
    """On other systems a lease is all there is."""
    mine = this_process()
    monkeypatch.setattr(process_identity, "_BOOT_ID_PATH", tmp_path / "nothing")
    assert this_process() is None
    assert not has_died(mine.replace(mine.split()[2], "1"))


async def test_a_killed_process_leaves_its_tickets_at_once(begun, path):
    """However long its lease is; and its submit without an answer is uncertain at once."""
    process, said = begun(HOLDING, path)
    assert "held" == said
    async with Journal.open(path) as journal:
        heir = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(heir, before_run=heir, limit=1, lease=60)
        assert ([], True) == (claim.tickets, claim.has_others)
        assert [] == await journal.uncertain()
        assert 1 == (await journal.report()).running
        process.kill()
        process.wait()
        assert 0 == (await journal.report()).running
        assert ["t-1"] == [each.track_id for each in await journal.uncertain()]
        claim = await journal.leases.claim(heir, before_run=heir, limit=1, lease=60)
        assert ["images:1"] == [str(ticket) for _, ticket in claim.tickets]
