"""Exit codes of a batch: 0 only if all is well, else what is wrong, as the help lists it."""

import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from attrs import fields_dict

from modelslab_async import Failed, RateLimited, Ticket, TransientError, TransportError, Unresolved
from modelslab_async._cli.batch.batch_summary import BatchSummary
from modelslab_async._cli.exit_codes import code_for
from modelslab_async._polling.watchers import timed_out
from modelslab_async.emulator import ScriptedReply
from modelslab_async.journal import Report

from ..conftest import COMMAND

SAVE = ("--out", "out", "--allow-private")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def saved(here, emulator):
    """A batch of two whose files were saved in `out`."""
    ids = "images:6001\nimages:6002\n"
    for ticket in ids.split():
        emulator.add_job(ticket, fails=False)
    assert 0 == here("run", "-", *SAVE, given=ids).returncode
    return here.folder / "out"


def counts(**some):
    return Report(**(dict.fromkeys(fields_dict(Report), 0) | some))


@pytest.mark.parametrize(
    ("some", "given_up", "codes"),
    [
        ({"tickets": 2, "success": 2, "saved": 2}, 0, {}),
        ({"failed": 3}, 0, {1: 3}),
        ({"failed": 3, "not_found": 2}, 0, {1: 1, 5: 2}),
        ({"open": 4}, 0, {7: 4}),
        ({"unresolved": 5}, 5, {}),
        ({"unresolved": 5}, 3, {7: 2}),
        ({"save_pending": 6}, 0, {8: 6}),
        ({"save_pending": 6, "unsaved": 1}, 0, {8: 7}),
    ],
)
def test_every_count_has_its_code(some, given_up, codes):
    """What is open, given up by others, save_pending or not saved is no success."""
    assert codes == BatchSummary(counts(**some)).codes(given_up)


def test_files_that_are_owed(here, saved):
    """A run that saves nothing does not call a batch well whose files are still to be saved."""
    for file in saved.iterdir():
        file.unlink()
    assert 8 == here("verify", "out", "--repair").returncode
    run = here("run", "--quiet")
    assert 8 == run.returncode
    assert "the files of 2 tickets are not saved; give --out FOLDER" in run.stderr
    assert 0 == here("run", *SAVE).returncode
    assert 2 == len([*saved.iterdir()])


def test_files_that_are_gone(here, saved):
    """They are missed, though the journal has them; `verify --repair` has them saved again."""
    (saved / "images-6001-0.png").unlink()
    (saved / "images-6002-0.png").write_bytes(b"cut")
    run = here("run", *SAVE, "--quiet")
    assert 8 == run.returncode
    assert "2 files that were saved are gone or changed; `batch verify --repair`" in run.stderr
    here("verify", "--repair")
    assert 0 == here("run", *SAVE).returncode


def test_files_that_are_elsewhere(here, saved):
    """Another folder does not have them; once they are moved there, all is well."""
    run = here("run", "--out", "new", "--allow-private")
    assert 8 == run.returncode
    assert f"2 files that were saved are not in new but in {saved}; move them" in run.stderr
    shutil.move(saved, here.folder / "new")
    again = here("run", "--out", "new", "--allow-private")
    assert 0 == again.returncode, again.stderr


def test_an_unknown_id(here):
    """It is not found, now and whenever the journal is run again, as `wait` says it."""
    run = here("run", "-", given="images:6101\n")
    assert 5 == run.returncode, run.stderr
    assert 5 == here("run").returncode
    assert ["not_found", "1"] in [line.split() for line in here("status").stdout.splitlines()]


def test_a_time_that_was_up_in_trouble():
    """It is that trouble; nothing was heard that would speak of the job."""
    ticket = Ticket("images", 1)

    def code(fault: TransientError | None) -> int:
        return code_for(timed_out(ticket, 3.0, None, fault))

    assert (7, 10, 4) == (code(None), code(TransportError("cut")), code(RateLimited("no")))
    assert 5 == code_for(Failed(ticket=ticket, reason="not_found"))
    assert 10 == code_for(Unresolved(ticket=ticket, cause=TransportError("cut")))


def test_no_network(here):
    """A host that nothing answers for is the network, also where the time was up first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    run = here("run", "-", "--timeout", "1", given="images:6201\n", MODELSLAB_BASE_URL=url)
    assert 10 == run.returncode, run.stderr
    assert "the last poll failed" in run.stderr


def test_the_recipe_of_the_documentation(here, emulator, program):
    """It goes on while the service is in trouble, and ends when all is saved."""
    page = (ROOT / "docs" / "how-to" / "batch-command.md").read_text()
    (recipe,) = re.findall(r"^\$ (until .*)$", page, re.MULTILINE)
    for ours, theirs in (
        ("modelslab-async", shlex.join(COMMAND)),
        ("--timeout 3600", "--allow-private --timeout 1"),
        ("sleep 60", "echo again"),
    ):
        assert ours in recipe
        recipe = recipe.replace(ours, theirs)
    (here.folder / "ids.txt").write_text("images:6301\n")
    emulator.script("images:6301", [ScriptedReply(503, b"down")])
    environment = program.changed({"PYTHONPATH": str(Path.cwd()), "PATH": os.environ["PATH"]})
    with subprocess.Popen(
        ["bash", "-c", recipe],
        cwd=here.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert "again\n" == process.stdout.readline()
        emulator.script("images:6301", [ScriptedReply(200, b'{"status": "success", "output": []}')])
        _, told = process.communicate(timeout=60)
    assert 0 == process.returncode, told
