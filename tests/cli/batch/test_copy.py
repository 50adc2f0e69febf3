"""`batch copy`: a batch goes on in the other store, also after a kill, and only there."""

import itertools
import json
import shlex

import pytest
from journal_states import states

REALTIME = "realtime/text2img"
PASSWORD = "a-secret-password"
_job_numbers = itertools.count(8_100_000)
_DIRECTIONS = ["file to database", "database to file"]

# Ends the program as `kill -9` does, before or after one method of a copy's target.
_KILL = """
import os, signal
from modelslab_async._journal import postgres_copy_target, sqlite_copy_target

kinds = postgres_copy_target.PostgresCopyTarget, sqlite_copy_target.SqliteCopyTarget
for kind in kinds:
    async def killed(self, *arguments, method=kind.{name}):
        if {after}:
            await method(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    kind.{name} = killed
"""


@pytest.fixture(params=_DIRECTIONS)
def paths(request, tmp_path, address):
    """The source and the target of a copy."""
    file = tmp_path / "run.db"
    return (file, address) if request.param == _DIRECTIONS[0] else (address, file)


def filled(here, emulator, path):
    """Run a batch of tickets and a table of prompts."""
    numbers = [next(_job_numbers) for _ in range(5)]
    tickets = [str(emulator.add_job(("images", n), fails=n == numbers[3])) for n in numbers]
    options = ("--journal", str(path), "--out", "out", "--allow-private")
    run = here("run", "-", *options, given="\n".join(tickets))
    assert 1 == run.returncode, run.stderr
    submitted = here(*submit(path), given="a cat\na dog\n")
    assert 1 == submitted.returncode, submitted.stderr


def submit(path):
    options = ("--journal", str(path), "--out", "out", "--allow-private", "--quiet")
    return ("submit", "--endpoint", REALTIME, "-", *options)


def counts(here, path):
    return json.loads(here("status", "--json", "--journal", str(path)).stdout)


def test_batch_goes_on_in_the_copy(here, emulator, paths):
    """Nothing is polled, saved or paid for again. A run on the source is refused and told why."""
    source, target = paths
    filled(here, emulator, source)
    before = counts(here, source)
    copy = here("copy", str(source), str(target))
    assert 0 == copy.returncode, copy.stderr
    assert "7 tickets (7 finished, 0 not), 6 files" in copy.stderr
    assert before == counts(here, target) == counts(here, source)
    assert PASSWORD not in copy.stdout + copy.stderr

    requests, submits = emulator.request_count, len(emulator.submits)
    again = here(*submit(target), given="a cat\na dog\n")
    assert 1 == again.returncode, again.stderr
    verify = here("verify", "--journal", str(target))
    assert 0 == verify.returncode, verify.stderr
    for command in (("run",), ("retry", "--failed"), submit("x")[:4]):
        late = here(*command, "--journal", str(source), given="a cat\na bird\n")
        assert 8 == late.returncode, late.stderr
        assert "was copied to" in late.stderr
    assert (requests, submits) == (emulator.request_count, len(emulator.submits))

    (advice,) = (line for line in copy.stderr.splitlines() if "go on there" in line)
    command = shlex.split(advice.partition("`")[2].partition("`")[0])
    assert ["modelslab-async", "batch", "run", "--journal"] == command[:-1]
    assert 1 == here("run", "--journal", command[-1]).returncode


@pytest.mark.parametrize(
    "kill", [("add_tickets", True), ("commit", False), ("commit", True)], ids=str
)
def test_killed_copy_resumes(here, emulator, paths, with_site, kill):
    """The same command again copies everything or, if that is done, only says so."""
    source, target = paths
    filled(here, emulator, source)
    before, recorded = counts(here, source), states(source)
    name, after = kill
    site = with_site(_KILL.format(name=name, after=after))
    killed = here("copy", str(source), str(target), PYTHONPATH=site)
    assert -9 == killed.returncode, killed.stderr
    run = here("run", "--journal", str(source))
    if name == "commit":
        assert 8 == run.returncode
        assert "start the same `batch copy` again" in run.stderr
    else:
        assert 1 == run.returncode, run.stderr

    copies = [here("copy", str(source), str(target), "--json") for _ in range(2)]
    assert [before] * 2 == [json.loads(copy.stdout) for copy in copies], copies
    is_complete = kill == ("commit", True)
    assert [is_complete, True] == ["an earlier start" in copy.stderr for copy in copies]
    assert recorded == states(target)


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("missing.db", "new.db", (2, "there is no journal missing.db")),
        ("run.db", "run.db", (2, "are the same journal")),
        ("run.db", "./run.db", (2, "are the same journal")),
        ("run.db", "other.db", (8, "has rows already")),
        ("run.db", "postgresql://app:a-secret-password@/x", (2, "names its batch")),
        ("run.db", "nowhere/new.db", (8, "see that the folder exists")),
        ("run.db", "ids.txt", (8, "is no SQLite database")),
    ],
)
def test_unusable_journals_are_told(here, emulator, source, target, told):
    """The source can be run afterwards, and nothing is created."""
    code, message = told
    (here.folder / "ids.txt").write_text("images:1\n")
    for name in ("run.db", "other.db"):
        ticket = str(emulator.add_job("images:8000001"))
        assert 0 == here("run", "-", "--journal", name, given=ticket).returncode
    copy = here("copy", source, target)
    assert code == copy.returncode, copy.stderr
    assert message in " ".join(copy.stderr.split())
    assert PASSWORD not in copy.stderr
    assert not (here.folder / "new.db").exists()
    assert 0 == here("run").returncode
