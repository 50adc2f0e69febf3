"""The command `download`: it saves the files of tickets and prints their paths."""

import hashlib
import json
import signal
from pathlib import Path

import pytest

import modelslab_async
from modelslab_async.emulator import ScriptedReply

from .conftest import TIMEOUT_S


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_saves_files_and_prints_paths(program, emulator, tmp_path):
    """It prints one path a line and nothing else, and a second run saves no file twice."""
    tickets = [str(emulator.add_job(("images", n), fails=False)) for n in range(70, 73)]
    paths = {str(tmp_path / "out" / f"images-{n}-0.png") for n in range(70, 73)}

    for _ in range(2):
        run = program("download", *tickets, "--out", str(tmp_path / "out"), "--allow-private")
        assert (0, "") == (run.returncode, run.stderr)
        assert paths == set(run.stdout.splitlines())
    assert ["images-70-0.png", "images-71-0.png", "images-72-0.png"] == names(tmp_path / "out")


def test_folder_that_cannot_be_written_is_refused_before_the_first_poll(
    program, emulator, tmp_path
):
    """The message names the folder."""
    ticket = emulator.add_job("images:69", fails=False)
    (tmp_path / "out").write_text("a file where the folder should be")
    folder = str(tmp_path / "out" / "x")

    run = program("download", str(ticket), "--out", folder)

    assert (2, 0) == (run.returncode, emulator.polls[ticket])
    assert f"no file can be saved in {folder}: Not a directory" in run.stderr


def test_json_prints_a_record_for_each_file(program, emulator, tmp_path):
    """With `--json`, each file is a line with its checksum, also for tickets from a pipe."""
    ticket = str(emulator.add_job("video:70", fails=False))

    run = program(
        "download", "-", "--out", str(tmp_path), "--allow-private", "--json", given=ticket
    )

    record = json.loads(run.stdout)
    content = (tmp_path / "video-70-0.mp4").read_bytes()
    assert (ticket, 0, len(content)) == (record["ticket"], record["n"], record["size"])
    assert hashlib.sha256(content).hexdigest() == record["sha256"]


def test_default_folder_is_the_current_one(program, emulator, tmp_path, monkeypatch):
    """Without `--out`, files are saved in the current folder."""
    emulator.add_job("images:73", fails=False)
    monkeypatch.chdir(tmp_path)

    here = str(Path(modelslab_async.__file__).parents[1])
    run = program("download", "images:73", "--allow-private", PYTHONPATH=here)

    assert "images-73-0.png" == run.stdout.strip()
    assert ["images-73-0.png"] == names(tmp_path)


def test_unsaved_file_is_reported_with_advice(program, emulator, tmp_path):
    """A file that cannot be saved has its own exit code and advice; other tickets are saved."""
    emulator.add_job("images:74", fails=False, output=["https://127.0.0.1:9/x.png"])
    emulator.add_job("images:75", fails=False)

    arguments = ("images:74", "images:75", "--out", str(tmp_path))
    run = program("download", *arguments)
    assert (8, "", 2) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "allow it with --allow-private" in run.stderr

    run = program("download", *arguments[:1], arguments[1], *arguments[2:], "--allow-private")
    assert 8 == run.returncode
    assert ["images-75-0.png"] == names(tmp_path)


@pytest.mark.parametrize(
    ("body", "timeout", "code"),
    [
        (b'{"status": "failed", "message": "Failed, Try Again"}', "60", 1),
        (b'{"status": "success", "output": []}', "60", 0),
        (b'{"status": "processing"}', "0.3", 7),
    ],
)
def test_ticket_without_files_prints_no_path(program, emulator, tmp_path, *, body, timeout, code):
    """Failed, empty and unfinished tickets print no path and keep their exit codes."""
    emulator.script("images:76", [ScriptedReply(200, body)])

    run = program("download", "images:76", "--out", str(tmp_path), "--timeout", timeout)

    assert (code, "", []) == (run.returncode, run.stdout, names(tmp_path))


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_failed_job_is_explained_on_a_pipe(program, emulator, tmp_path, option):
    """Standard error says which ticket failed and why. Standard output stays empty."""
    failed = b'{"status": "failed", "message": "Failed, Try Again"}'
    emulator.script("images:81", [ScriptedReply(200, failed)])

    run = program("download", "images:81", "--out", str(tmp_path), *option)

    message = "modelslab-async: images:81: Failed, Try Again\n"
    assert (1, "", message) == (run.returncode, run.stdout, run.stderr)


def test_terminal_shows_paths_and_failures(program, emulator, tmp_path):
    """A terminal shows whole paths and the message of a failed job."""
    emulator.add_job("images:77", fails=False)
    emulator.add_job("images:78", fails=True)

    code, shown = program.on_terminal(
        "download", "images:77", "images:78", "--out", str(tmp_path), "--allow-private"
    )

    assert 1 == code
    assert str(tmp_path / "images-77-0.png") in shown
    assert "Failed, Try Again" in shown


def test_interrupted_download_can_be_repeated(program, emulator, tmp_path):
    """After Ctrl-C, one line says how to resume the download."""
    emulator.add_job("images:79", fails=False)
    emulator.script("images:80", [ScriptedReply(200, b'{"status": "processing"}')])

    arguments = ("download", "images:79", "images:80", "--out", str(tmp_path), "--allow-private")
    with program.start(*arguments) as process:
        assert process.stdout.readline().strip().endswith("images-79-0.png")
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=TIMEOUT_S)

    assert (130, 1) == (process.returncode, messages.count("\n"))
    assert "download again to resume" in messages


@pytest.mark.parametrize("arguments", [(), ("images:1", "--concurrency", "0"), ("images",)])
def test_malformed_arguments_create_no_folder(program, tmp_path, arguments):
    """Malformed arguments are reported in one line, and no folder is created."""
    run = program("download", *arguments, "--out", str(tmp_path / "out"))

    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert [] == names(tmp_path)
