"""The commands of `batch`: from a file of ids to files and outcomes, also after an interrupt."""

import csv
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from everyday import pairs
from pyarrow import parquet

from modelslab_async import Ticket
from modelslab_async.emulator import ScriptedReply

from ..conftest import COMMAND, STOP_SIGNALS, TIMEOUT_S, screen_lines

FOREVER = [ScriptedReply(200, b'{"status": "processing"}')]
DONE = [ScriptedReply(200, b'{"status": "success", "output": []}')]
SUBMIT = ("submit", "--endpoint", "realtime/text2img")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def runs_of(path):
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute("SELECT run FROM runs").fetchall()


def state_of(path):
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return dict(db.execute("SELECT ticket, state FROM overview").fetchall())


def test_run_saves_exports_and_records_once(here, emulator, tmp_path):
    """One command saves, exports and records. The same command again polls and saves nothing."""
    tickets = [str(emulator.add_job(("images", n), fails=n == 4003)) for n in range(4001, 4006)]
    (tmp_path / "ids.txt").write_text("\n".join(tickets))
    arguments = ("run", "ids.txt", "--out", "out", "--export", "all.jsonl", "--allow-private")

    run = here(*arguments)
    assert 1 == run.returncode, run.stderr
    assert "5 of 5 completed (4 succeeded, 1 failed, 4 saved)" in run.stdout
    assert [f"images-{n}-0.png" for n in (4001, 4002, 4004, 4005)] == names(tmp_path / "out")
    records = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert tickets == [record["ticket"] for record in records]

    before = emulator.request_count
    again = here(*arguments)
    assert (1, before) == (again.returncode, emulator.request_count)
    assert "5 of 5 completed (0 succeeded, 0 failed, 0 saved, 5 before this run)" in again.stdout


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl", "all.parquet"])
def test_export_joins_input_and_files(here, emulator, tmp_path, name):
    """The prompt of a row is beside the path of its file, after a second run too."""
    emulator.add_job(("images", 4051))
    (tmp_path / "ids.csv").write_text("prompt,request_id,family\na cat,4051,images\n")
    arguments = ("run", "ids.csv", "--out", "out", "--export", name, "--allow-private")
    for _ in range(2):
        run = here(*arguments)
        assert 0 == run.returncode, run.stderr
        path = str(tmp_path / "out" / "images-4051-0.png")
        match (tmp_path / name).suffix:
            case ".csv":
                with (tmp_path / name).open(newline="") as lines:
                    (row,) = csv.DictReader(lines)
                assert ("a cat", [path]) == (row["prompt"], json.loads(row["files"]))
            case ".jsonl":
                row = json.loads((tmp_path / name).read_text())
                assert {"prompt": "a cat", "family": "images"} == row["input"]
                assert [path] == [file["path"] for file in row["files"]]
            case _:
                (row,) = parquet.read_table(tmp_path / name).to_pylist()
                assert ("a cat", [path]) == (row["prompt"], row["files"])


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("bare.txt", "4101\n4102\n\nvideo:4103\n", ("--family", "images")),
        (
            "a.csv",
            "name,Request ID,family\ncat,4101,images\ndog,4102,images\nfilm,4103,video\n",
            (),
        ),
        ("semicolon.csv", "\ufeffticket;note\nimages:4101;a\nimages:4102;\nvideo:4103;c\n", ()),
        ("no-head.csv", "4101,images\nimages,4102\nvideo:4103,x\n", ()),
        (
            "named.csv",
            "what,mine\nx,images:4101\ny,images:4102\nz,video:4103\n",
            ("--column", "mine"),
        ),
        (
            "rows.jsonl",
            """{"request_id": 4101, "family": "images"}\n{"ticket": "images:4102"}
            {"id": "video:4103"}\n""",
            (),
        ),
    ],
)
def test_run_reads_usual_formats_of_ids(here, service, name, text, more):
    """Text, CSV with and without column names, JSON lines, and bare ids with a family are read."""
    for ticket in ("images:4101", "images:4102", "video:4103"):
        service.emulator.add_job(ticket, fails=False)
    (here.folder / name).write_text(text, encoding="utf-8")
    run = here("run", name, *more)
    assert (0, {"images:4101", "images:4102", "video:4103"}) == (
        run.returncode,
        set(state_of(here.folder / "run.db")),
    ), run.stderr


def test_bad_lines_are_skipped_unless_strict(here, emulator, tmp_path):
    """Each bad line is reported by its number; with `--strict`, nothing is started."""
    emulator.add_job("images:4201", fails=False)
    text = "images:4201\nnonsense\n\nno_such_family:1\n4202\n"
    run = here("run", "-", given=text)
    assert (2, 3) == (run.returncode, run.stderr.count("skipped:"))
    for number in (2, 4, 5):
        assert f"line {number} of standard input skipped" in run.stderr
    assert {"images:4201": "success"} == state_of(tmp_path / "run.db")

    strict = here("run", "-", "--strict", "--journal", "other.db", given=text)
    assert 2 == strict.returncode
    assert "3 lines are no tickets, so nothing was started" in strict.stderr
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("run",), "there is no journal run.db; give IDS"),
        (("run", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("run", "-", "--family", "image"), "did you mean 'images'"),
        (("run", "-", "--export", "out.doc"), "end the name in .jsonl, .csv or .parquet"),
        (("run", "-", "--export", "nowhere/out.csv"), "there is no folder"),
        (("run", "-", "--column", "nope"), "has no column 'nope'; it has a, b"),
        (("status",), "there is no journal run.db; start a batch with `batch run` or `batch sub"),
        (("retry", "--failed"), "there is no journal"),
        (("export", "x.csv"), "there is no journal"),
        (("verify",), "there is no journal"),
    ],
)
def test_malformed_arguments_create_no_journal(here, tmp_path, arguments, messages):
    """One line says what to write instead, and no journal is created."""
    run = here(*arguments, given="a,b\n1,2\n")
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert messages in run.stderr
    assert [] == names(tmp_path)


def test_bad_rows_are_reported_by_number(here, emulator):
    """A row without JSON, id or family is reported by its number."""
    emulator.add_job("images:4251", fails=False)
    rows = '{"ticket": "images:4251"}\nnonsense\n{"name": "cat"}\n{"id": 7}\n{"id": "no:7"}\n'
    run = here("run", "-", given=rows)
    assert (2, 4) == (run.returncode, run.stderr.count("skipped:"))
    assert "line 3 of standard input skipped: it has no id; it has 'name'" in run.stderr
    assert "line 4 of standard input skipped: '7' has no family" in run.stderr
    assert (0, "") == ((empty := here("run", "-", "--quiet", given="\n")).returncode, empty.stderr)


def test_export_that_cannot_be_written_starts_no_run(here, emulator, tmp_path):
    """The export is checked before anything is polled."""
    before = emulator.request_count
    (tmp_path / "ids.csv").write_text("id,family\n4261,images\n")
    for export in ("nowhere/all.csv", "all.xlsx", "ids.csv"):
        run = here("run", "ids.csv", "--export", export)
        assert (2, 1) == (run.returncode, run.stderr.count("\n"))
    assert "is the file of ids" in run.stderr
    assert before == emulator.request_count
    assert not (tmp_path / "run.db").exists()


@pytest.mark.parametrize("name", ["run.csv", "./run.csv", "link.csv", "run.csv-wal", "run.csv-shm"])
def test_output_that_would_overwrite_the_journal_is_refused(here, tmp_path, name):
    """Neither the journal nor a file that SQLite keeps beside it is written."""
    (tmp_path / "ids.txt").write_text("images:4321\n")
    (tmp_path / "link.csv").symlink_to("run.csv")
    assert 5 == here("run", "ids.txt", "--journal", "run.csv").returncode
    before = names(tmp_path)
    for *arguments, advice in [
        ("report", "--html", name, "give --html another name"),
        ("export", name, "--file-format", "csv", "give the export another name"),
    ]:
        refused = here(*arguments, "--journal", "run.csv")
        assert (2, before) == (refused.returncode, names(tmp_path))
        assert f"is a file of the journal; {advice}" in refused.stderr
    assert {"images:4321": "failed"} == state_of(tmp_path / "run.csv")


@pytest.mark.parametrize("arguments", [("run", "ids.txt"), ("retry",), (*SUBMIT, "-")])
def test_run_whose_export_would_overwrite_the_journal_is_refused(here, tmp_path, arguments):
    """Nothing is started, and no journal is created."""
    (tmp_path / "ids.txt").write_text("images:4321\n")
    export = Path("run.csv")
    refused = here(*arguments, "--export", f"./{export}", "--journal", f"{export}", given="a cat\n")
    assert (2, ["ids.txt"]) == (refused.returncode, names(tmp_path))
    assert f"{export} is a file of the journal; give --export another name" in refused.stderr


@pytest.mark.parametrize("text", ["", "\n\n", "id,family\n"])
def test_empty_file_is_reported(here, tmp_path, text):
    """A file without tickets is no error, but the user learns that it is empty."""
    (tmp_path / "ids.csv").write_text(text)
    run = here("run", "ids.csv")
    assert 0 == run.returncode
    assert "modelslab-async: ids.csv is empty: it holds no tickets\n" in run.stderr


def test_foreign_file_is_not_used_as_journal(here, emulator, tmp_path):
    """A file that is no journal is reported in one line and left unchanged."""
    (tmp_path / "run.db").write_text("a letter")
    emulator.add_job("images:4301", fails=False)
    run = here("run", "-", "--quiet", given="images:4301")
    assert (8, 1) == (run.returncode, run.stderr.count("\n")), run.stderr
    assert "a letter" == (tmp_path / "run.db").read_text()


def test_json_prints_files_and_quiet_prints_nothing(here, emulator):
    """`--json` prints each outcome with its files; `--quiet` prints nothing if all is well."""
    emulator.add_job("images:4401", fails=False)
    run = here(
        "run", "-", "--json", "--quiet", "--out", "o", "--allow-private", given="images:4401"
    )
    record = json.loads(run.stdout)
    assert (0, "") == (run.returncode, run.stderr)
    assert ("success", "images:4401", None) == (
        *(record["kind"], record["ticket"], record["save_error"]),
    )
    assert 64 == len(record["files"][0]["sha256"])
    assert ("", "") == (here("run", "--quiet").stdout, here("run", "--quiet").stderr)


def test_status_counts_without_a_key(here, emulator):
    """`status` needs no key, for people and for programs."""
    emulator.add_job("images:4501", fails=False)
    emulator.add_job("images:4502", fails=True)
    here("run", "-", given="images:4501\nimages:4502")
    run = here("status", MODELSLAB_API_KEY=None)
    assert (0, "") == (run.returncode, run.stderr)
    counts = dict(line.split() for line in run.stdout.splitlines())
    assert ("2", "1", "1", "0") == tuple(
        counts[name] for name in ("tickets", "success", "failed", "open")
    )
    assert 2 == json.loads(here("status", "--json").stdout)["tickets"]


def test_unsaved_file_is_reported_and_saved_by_next_run(here, emulator, tmp_path):
    """`status` shows the reason, and the next run saves the file."""
    emulator.add_job("images:4601", fails=False)
    part = tmp_path / "out" / "images-4601-0.part"
    part.mkdir(parents=True)
    run = here("run", "-", "--out", "out", "--allow-private", given="images:4601")
    assert 8 == run.returncode
    assert "1 not saved" in run.stdout
    assert "not saved: 1 x the file cannot be written" in here("status").stdout
    part.rmdir()
    assert 0 == here("run", "--out", "out", "--allow-private").returncode
    assert ["images-4601-0.png"] == names(tmp_path / "out")


ODD_FOLDER = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("file", "is a file"),
        ("file/x", "no file can be saved in file/x: Not a directory"),
        (ODD_FOLDER, "is not UTF-8 text; save in another folder"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("command", ["run", "retry", "submit"])
def test_folder_that_cannot_be_written_is_refused_first(
    here, emulator, tmp_path, command, *, folder, reason
):
    """Nothing is polled or submitted, and the message names the folder."""
    ticket = emulator.add_job("images:4602", fails=False)
    before = len(emulator.submits)
    assert 0 == here("run", "-", given="").returncode
    (tmp_path / "file").write_text("a file where the folder should be")
    arguments = {
        "run": ["-"],
        "retry": [],
        "submit": ["-", "--endpoint", "realtime/text2img", "--input-format", "text"],
    }[command]
    given = "a lighthouse" if command == "submit" else "images:4602"
    run = here(command, *arguments, "--out", folder, "--allow-private", given=given)
    assert 2 == run.returncode
    assert reason in run.stderr
    assert (before, 0) == (len(emulator.submits), emulator.polls[ticket])
    assert 0 == json.loads(here("status", "--json").stdout)["tickets"]


def test_retry_failed_polls_failed_tickets_again(here, emulator, tmp_path):
    """`retry --failed` polls the tickets again that the server reported as failed."""
    emulator.add_job("images:4701", fails=True)
    assert 1 == here("run", "-", given="images:4701").returncode
    emulator.script("images:4701", [ScriptedReply(200, b'{"status": "success", "output": []}')])
    assert 1 == here("retry").returncode
    assert 0 == here("retry", "--failed").returncode
    assert {"images:4701": "success"} == state_of(tmp_path / "run.db")


def test_export_takes_format_from_name_or_option(here, emulator, tmp_path):
    """The format comes from the name of the file or from `--file-format`."""
    emulator.add_job("images:4801", fails=False)
    here("run", "-", given="images:4801")
    assert 0 == here("export", "all.csv").returncode
    assert 0 == here("export", "all.txt", "--file-format", "jsonl").returncode
    assert (tmp_path / "all.csv").read_text().startswith("ticket,state,reason,output")
    assert "images:4801" == json.loads((tmp_path / "all.txt").read_text())["ticket"]
    assert 2 == here("run", "--export", "nowhere/all.csv").returncode
    wrong = here("export", "nowhere/all.csv")
    assert (2, 1) == (wrong.returncode, wrong.stderr.count("\n"))
    assert 2 == here("export", "all.doc").returncode


def test_export_keeps_links_and_pipes(here, emulator, tmp_path):
    """Standard output, a pipe and a link are written to and not replaced."""
    emulator.add_job("images:4811", fails=False)
    here("run", "-", given="images:4811")
    out = here("export", "-", "--file-format", "jsonl")
    assert (0, "images:4811") == (out.returncode, json.loads(out.stdout)["ticket"])
    assert (2, False) == (here("export", "-").returncode, (tmp_path / "-").exists())

    (tmp_path / "link.jsonl").symlink_to("target.jsonl")
    assert 0 == here("export", "link.jsonl").returncode
    assert (tmp_path / "link.jsonl").is_symlink()
    assert out.stdout == (tmp_path / "target.jsonl").read_text()

    os.mkfifo(tmp_path / "pipe.jsonl")
    with subprocess.Popen(["cat", tmp_path / "pipe.jsonl"], stdout=subprocess.PIPE) as cat:
        try:
            assert 0 == here("run", "--export", "pipe.jsonl").returncode
            assert out.stdout == cat.communicate(timeout=300)[0].decode()
        finally:
            cat.kill()
    assert (tmp_path / "pipe.jsonl").is_fifo()


def test_parquet_without_its_extra_is_refused_first(here, without):
    """One line says what to install, before anything is polled."""
    path = os.pathsep.join((without("pyarrow"), str(Path.cwd())))
    run = here("run", "-", "--export", "x.parquet", given="images:1", PYTHONPATH=path)
    assert (2, 1) == (run.returncode, run.stderr.count("\n"))
    assert 'pip install "modelslab-async[parquet]"' in run.stderr


def test_verify_lists_changed_and_missing_files(here, emulator, tmp_path):
    """Each changed or missing file is a line, and `--repair` has the next run save it."""
    for n in range(4901, 4904):
        emulator.add_job(("images", n), fails=False)
    ids = "images:4901\nimages:4902\nimages:4903\n"
    here("run", "-", "--out", "out", "--allow-private", given=ids)
    assert (0, "") == ((fine := here("verify")).returncode, fine.stdout)
    (tmp_path / "out" / "images-4901-0.png").write_bytes(b"scribbled over")
    (tmp_path / "out" / "images-4902-0.png").unlink()
    found = here("verify", "out")
    assert 8 == found.returncode
    assert ["changed", "missing"] == [line.split()[0] for line in found.stdout.splitlines()]
    assert "1 file is unchanged, 2 are not; with --repair" in found.stderr
    repaired = here("verify", "--repair", "--json")
    assert "2 are not; the next `batch run --out FOLDER` saves them again" in repaired.stderr
    records = [json.loads(line) for line in repaired.stdout.splitlines()]
    assert ["images:4901", "images:4902"] == [record["ticket"] for record in records]
    assert 0 == here("run", "--out", "out", "--allow-private").returncode
    assert 0 == here("verify").returncode


def test_folder_without_the_files_is_repaired(here, emulator, tmp_path):
    """The next run has all files in the folder, though they still exist where they were saved."""
    emulator.add_job("images:4921", fails=False)
    here("run", "-", "--out", "out", "--allow-private", given="images:4921\n")
    (tmp_path / "other").mkdir()
    assert "1 is not; the next `batch" in here("verify", "other", "--repair").stderr
    assert 0 == here("run", "--out", "other", "--allow-private").returncode
    assert (0, 0) == (here("verify").returncode, here("verify", "other").returncode)
    assert ["images-4921-0.png"] == [each.name for each in (tmp_path / "other").iterdir()]


def test_verify_names_a_folder_that_does_not_exist(here, emulator):
    """It says where it looked; the lines have the recorded paths, as for any other folder."""
    for n in (4911, 4912):
        emulator.add_job(("images", n), fails=False)
    given = "images:4911\nimages:4912\n"
    here("run", "-", "--out", "out", "--allow-private", given=given)
    found = here("verify", "nowhere")
    assert (8, 2) == (found.returncode, found.stdout.count("missing "))
    expected = str(Path("nowhere", "images-4911-0.png"))
    message = f"there is no folder nowhere: looked for {expected} and 1 other file there"
    assert message in found.stderr
    assert "there is no folder" not in here("verify", "out").stderr
    found = here("verify", "a" * 300)
    assert (8, 2) == (found.returncode, found.stdout.count("missing "))
    assert "there is no folder aaa" in found.stderr


def started(program, *arguments):
    return program.start("batch", *arguments)


def wait_for(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_signal_stops_in_order_and_loses_nothing(program, emulator, tmp_path, stop):
    """After a signal, the same command resumes the batch."""
    emulator.add_job("images:5011", fails=False)
    emulator.script("images:5012", FOREVER)
    journal, out = tmp_path / "run.db", tmp_path / "out"
    (tmp_path / "ids").write_text("images:5011\nimages:5012\n")
    exported = tmp_path / "out.jsonl"
    arguments = ("run", str(tmp_path / "ids"), "--journal", str(journal), "--out", str(out))
    arguments += ("--export", str(exported))

    with started(program, *arguments, "--allow-private") as process:
        wait_for(lambda: journal.exists() and out.exists() and "images-5011-0.png" in names(out))
        process.send_signal(stop)
        _, messages = process.communicate(timeout=300)

    assert (128 + stop, False) == (process.returncode, exported.exists())
    assert "stopping after the current downloads" in messages
    assert "1 open; run the same command again to resume" in messages
    assert {"images:5011": "success", "images:5012": "open"} == state_of(journal)
    emulator.script("images:5012", [ScriptedReply(200, b'{"status": "success", "output": []}')])
    assert 0 == program("batch", *arguments, "--allow-private").returncode
    assert 2 == len(exported.read_text().splitlines())


def test_signal_stops_a_run_whose_messages_go_nowhere(program, emulator, tmp_path):
    """A log reader that has ended, as `head` does, does not keep the run from stopping."""
    ticket = Ticket("images", 5013)
    emulator.script(ticket, FOREVER)
    (tmp_path / "ids").write_text(f"{ticket}\n")
    journal = tmp_path / "run.db"
    with started(program, "run", str(tmp_path / "ids"), "--journal", str(journal)) as process:
        wait_for(lambda: emulator.polls[ticket])
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
    assert {str(ticket): "open"} == state_of(journal)
    with closing(sqlite3.connect(journal)) as db:
        assert [(None,)] == db.execute("SELECT lease_until FROM runs").fetchall()


def test_two_processes_both_count_the_whole_journal(program, emulator, tmp_path):
    """At the end, each of two processes prints the counts of the whole journal."""
    tickets = [f"images:{n}" for n in range(5041, 5051)]
    for ticket in tickets:
        emulator.script(ticket, FOREVER)
    emulator.script(tickets[0], DONE)
    journal = tmp_path / "run.db"
    (tmp_path / "ids").write_text("\n".join(tickets))
    arguments = ("run", str(tmp_path / "ids"), "--journal", str(journal))
    with started(program, *arguments) as one:
        wait_for(lambda: all(emulator.polls[Ticket.parse(ticket)] for ticket in tickets))
        with started(program, *arguments) as other:
            wait_for(lambda: len(runs_of(journal)) == 2)
            for ticket in tickets:
                emulator.script(ticket, DONE)
            ends = [process.communicate(timeout=300) for process in (one, other)]
    for out, messages in ends:
        assert out.startswith("10 of 10 completed ("), (out, messages)
        assert messages.splitlines()[-1].startswith("10 of 10 completed ("), messages
    assert (0, 0) == (one.returncode, other.returncode)
    assert "by other processes" in ends[1][0]


def test_window_smaller_than_batch_runs_all(here, emulator):
    """A small window bounds the tickets at once, and all of them are still run."""
    for n in range(5061, 5064):
        emulator.add_job(("images", n), fails=False)
    run = here("run", "-", "--window", "1", given="images:5061\nimages:5062\nimages:5063\n")
    assert (0, "3 of 3 completed (3 succeeded, 0 failed)\n") == (run.returncode, run.stdout)
    assert 2 == here("run", "--window", "0").returncode


@pytest.mark.parametrize(("first", "second"), pairs(STOP_SIGNALS, [signal.SIGTERM, signal.SIGINT]))
def test_second_signal_stops_at_once(program, emulator, tmp_path, first, second):
    """The second signal does not wait for a stalled download; the next run resumes it."""
    journal, out = tmp_path / "run.db", tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = f"http://127.0.0.1:{silent.getsockname()[1]}/x.png"
        emulator.add_job("images:5021", fails=False, output=[link])
        (tmp_path / "ids").write_text("images:5021\n")
        arguments = ("run", str(tmp_path / "ids"), "--journal", str(journal), "--out", str(out))
        with started(program, *arguments, "--allow-private", "--quiet") as process:
            wait_for(lambda: out.exists() and names(out))
            process.send_signal(first)
            repeat = "press Ctrl-C" if first == signal.SIGINT else "send SIGTERM"
            assert f"{repeat} again to stop at once" in process.stderr.readline()
            process.send_signal(second)
            _, messages = process.communicate(timeout=300)

    assert (128 + first, 1) == (process.returncode, messages.count("\n"))
    with closing(sqlite3.connect(journal)) as db:
        assert [(0, 0)] == db.execute("SELECT state, run FROM saves").fetchall()


def test_ctrl_c_on_terminal_leaves_one_display(program, emulator, tmp_path):
    """The message about Ctrl-C does not leave an old copy of the display on the screen."""
    emulator.script("images:5025", FOREVER)
    (tmp_path / "ids").write_text("images:5025\n")
    arguments = ("batch", "run", str(tmp_path / "ids"), "--journal", str(tmp_path / "run.db"))
    with program.start_on_terminal(*arguments) as (process, terminal):
        # Between two polls the display is drawn several times.
        wait_for(lambda: emulator.polls[Ticket("images", 5025)] > 1)
        process.send_signal(signal.SIGINT)
        lines = screen_lines(terminal.read_all())
    assert 130 == process.returncode
    assert (1, 1) == tuple(sum(part in line for line in lines) for part in ("━", "polls/s")), lines
    assert any("press Ctrl-C again to stop at once" in line for line in lines)


def test_ctrl_c_at_the_end_of_a_full_line_leaves_one_display(program, emulator, tmp_path):
    """The terminal shows "^C" at the cursor, so the cursor must not be at the end of a line."""
    reason = b'{"status": "failed", "message": "%s"}' % (b"x" * 150)
    emulator.script("images:5026", FOREVER)
    emulator.script("images:5027", [ScriptedReply(200, reason)])
    (tmp_path / "ids").write_text("images:5026\nimages:5027\n")
    arguments = ("batch", "run", str(tmp_path / "ids"), "--journal", str(tmp_path / "run.db"))
    with program.start_on_terminal(*arguments, columns=80) as (process, terminal):
        wait_for(lambda: emulator.polls[Ticket("images", 5026)] > 2)
        process.press_ctrl_c()
        lines = screen_lines(terminal.read_all(), columns=80)
    assert 130 == process.returncode
    assert (1, 1) == tuple(sum(part in line for line in lines) for part in ("━", "polls/s")), lines
    assert not any("^C" in line for line in lines)


@pytest.mark.parametrize("is_terminated", [False, True])
def test_background_run_ignores_ctrl_c(program, emulator, tmp_path, is_terminated):
    """A run in the background of a shell goes on after Ctrl-C, and stops at SIGTERM."""
    ticket = Ticket("images", 5032 if is_terminated else 5031)
    emulator.script(ticket, FOREVER)
    (tmp_path / "ids").write_text(f"{ticket}\n")
    journal = tmp_path / "run.db"
    arguments = ("batch", "run", str(tmp_path / "ids"), "--journal", str(journal))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen([*COMMAND, *arguments], env=program.environment)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        wait_for(lambda: emulator.polls[ticket])
        process.send_signal(signal.SIGINT)
        if is_terminated:
            process.send_signal(signal.SIGTERM)
        else:
            emulator.script(ticket, DONE)
        assert (143 if is_terminated else 0) == process.wait(TIMEOUT_S)


def test_terminal_shows_progress_and_failures(program, emulator, tmp_path):
    """A terminal shows the progress and the last failures, and no key."""
    emulator.add_job("images:5101", fails=False)
    emulator.add_job("images:5102", fails=True)
    (tmp_path / "ids").write_text("images:5101\nimages:5102\n")
    code, shown = program.on_terminal(
        *("batch", "run", str(tmp_path / "ids"), "--journal", str(tmp_path / "run.db"))
    )
    assert 1 == code
    assert "2 of 2 completed (1 succeeded, 1 failed)" in shown
    assert "last failures:" in shown
    assert "Failed, Try Again" in shown
    assert "polls/s" in shown
    assert program.environment["MODELSLAB_API_KEY"] not in shown


def test_recorded_digest_is_that_of_the_file(here, emulator, tmp_path):
    """The journal records the SHA-256 of the saved file."""
    emulator.add_job("images:5201", fails=False)
    here("run", "-", "--out", "out", "--allow-private", given="images:5201")
    content = (tmp_path / "out" / "images-5201-0.png").read_bytes()
    with closing(sqlite3.connect(tmp_path / "run.db")) as db:
        ((digest,),) = db.execute("SELECT sha256 FROM files").fetchall()
    assert hashlib.sha256(content).hexdigest() == digest
