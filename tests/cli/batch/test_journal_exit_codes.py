"""The exit codes of a batch: 0 only if every ticket succeeded and every file is saved."""

import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from attrs import fields_dict

from modelslab_async import Failed, RateLimited, Ticket, TransientError, TransportError, Unresolved
from modelslab_async._cli.batch.journal_exit_codes import JournalExitCodes
from modelslab_async._cli.exit_codes_and_advice import code_for, worst_code
from modelslab_async._polling.watchers import timed_out
from modelslab_async.emulator import ScriptedReply
from modelslab_async.journal import PendingSubmit, Report

from ..conftest import COMMAND

SAVE = ("--out", "out", "--allow-private")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def saved(here, emulator):
    """A batch of two tickets with their files in `out`."""
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
def test_every_count_has_its_exit_code(some, given_up, codes):
    """Open, given up, pending and unsaved tickets each have an exit code."""
    assert codes == JournalExitCodes(counts(**some)).codes(given_up)


def test_uncertain_submits_have_their_exit_code():
    """Each submit that may or may not have started work counts, whatever the run did."""
    submit = PendingSubmit(
        track_id="77", endpoint="realtime/text2img", payload_hash="", recorded_at=0.0
    )
    summary = JournalExitCodes(counts(tickets=1, failed=1), uncertain=[submit])
    assert {1: 1, 9: 1} == summary.codes(given_up=0)
    assert 9 == worst_code(summary.codes(given_up=0))


def test_unsaved_files_of_earlier_runs_are_reported(here, saved):
    """A run without `--out` fails if earlier runs left files unsaved."""
    for file in saved.iterdir():
        file.unlink()
    assert 8 == here("verify", "out", "--repair").returncode
    run = here("run", "--quiet")
    assert 8 == run.returncode
    assert "the files of 2 tickets are not saved; give --out FOLDER" in run.stderr
    assert 0 == here("run", *SAVE).returncode
    assert 2 == len([*saved.iterdir()])


def test_damaged_reply_counts_once_and_is_explained(here, saved):
    """The other files are saved. One line says which row to repair."""
    for file in saved.iterdir():
        file.unlink()
    assert 8 == here("verify", "out", "--repair").returncode
    with closing(sqlite3.connect(here.folder / "run.db")) as db, db:
        db.execute("UPDATE replies SET body = '{cut' WHERE ticket = 1")
    run = here("run", *SAVE, "--quiet")
    assert (8, ["images-6002-0.png"]) == (run.returncode, [each.name for each in saved.iterdir()])
    assert "1 not saved" in run.stderr
    assert 1 == run.stderr.count("run.db: the reply of images:6001 makes no sense")
    assert "tickets ended so" not in run.stderr


def test_missing_files_are_reported_until_repaired(here, saved):
    """Recorded files that are gone are reported, and `verify --repair` has them saved again."""
    (saved / "images-6001-0.png").unlink()
    (saved / "images-6002-0.png").write_bytes(b"cut")
    run = here("run", *SAVE, "--quiet")
    assert 8 == run.returncode
    assert "2 files that were saved are gone or changed; `batch verify --repair`" in run.stderr
    here("verify", "--repair")
    assert 0 == here("run", *SAVE).returncode


def test_files_in_another_folder_are_reported(here, saved):
    """Files in another folder are reported until they are moved."""
    run = here("run", "--out", "new", "--allow-private")
    assert 8 == run.returncode
    assert f"2 files that were saved are not in new but in {saved}; move them" in run.stderr
    shutil.move(saved, here.folder / "new")
    again = here("run", "--out", "new", "--allow-private")
    assert 0 == again.returncode, again.stderr


def test_unknown_id_is_not_found_in_every_run(here):
    """An unknown id ends with the code of `not found`, in the first run and in later ones."""
    run = here("run", "-", given="images:6101\n")
    assert 5 == run.returncode, run.stderr
    assert 5 == here("run").returncode
    assert ["not_found", "1"] in [line.split() for line in here("status").stdout.splitlines()]


def test_timeout_after_failed_poll_has_the_code_of_the_failure():
    """If the last poll failed, the exit code names that failure and not the timeout."""
    ticket = Ticket("images", 1)

    def code(fault: TransientError | None) -> int:
        return code_for(timed_out(ticket, 3.0, None, fault))

    assert (7, 10, 4) == (code(None), code(TransportError("cut")), code(RateLimited("no")))
    assert 5 == code_for(Failed(ticket=ticket, reason="not_found"))
    assert 10 == code_for(Unresolved(ticket=ticket, cause=TransportError("cut")))


def test_unreachable_host_is_a_network_error(here, leap_at_first_warning):
    """A host that does not answer is a network error, even if the timeout comes first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    environment = {"MODELSLAB_BASE_URL": url, "PYTHONPATH": leap_at_first_warning(60.0)}
    run = here("run", "-", "--timeout", "60", given="images:6201\n", **environment)
    assert 10 == run.returncode, run.stderr
    assert "the last poll failed" in run.stderr


def test_documented_shell_loop_retries_until_saved(here, emulator, program):
    """The loop goes on while the service fails, and ends when everything is saved."""
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
        _, messages = process.communicate(timeout=300)
    assert 0 == process.returncode, messages
