"""The API key in the input of a command: no record, no message and no file shows it."""

import json
import sqlite3
from contextlib import closing

import pytest

from .batch.test_submit import REALTIME, SUBMIT, lose_reply
from .conftest import KEY


def files_with_key(folder):
    return [
        path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("is_dry", [True, False])
def test_old_request_bodies_are_not_recorded_under_the_key(here, emulator, is_dry):
    """The bodies hold the API key as `key`, which is also the column with the names of rows."""
    before = len(emulator.submits)
    table = json.dumps({"key": KEY, "prompt": "a lighthouse"})
    options = ("--json", "--export", "export.jsonl", *(["--dry-run"] if is_dry else []))
    done = here(*SUBMIT, "-", *options, given=f"{table}\n{table}\n")
    assert 2 == done.returncode
    assert "lines 1-2 of standard input skipped: the key of a submission" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert [] == files_with_key(here.folder)
    assert before == len(emulator.submits)


def test_dry_run_shows_no_key(here):
    """It prints the rows that the run would submit, as the run prints them."""
    (here.folder / "table.csv").write_text(f"prompt,api_key\na cat in {KEY},{KEY}\n")
    done = here(*SUBMIT, "table.csv", "--json", "--dry-run", "--send", "api_key")
    assert 0 == done.returncode, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert "a cat in [key]" == row["parameters"]["prompt"]
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("end", ['" now', "\\", '\\"', "\n", "\u00e9"], ids=repr)
def test_row_with_a_cut_key_is_a_line_of_json(here, end):
    """The redaction also removes what follows a cut key, but no quotation mark of the line."""
    cut = KEY[: len(KEY) * 2 // 3]
    row = {"prompt": f'say "{cut}{end}', "note": f"{cut}{end}"}
    done = here(*SUBMIT, "-", "--json", "--dry-run", given=json.dumps(row))
    assert 0 == done.returncode, done.stderr
    (printed,) = map(json.loads, done.stdout.splitlines())
    assert printed["parameters"]["prompt"].startswith('say "[key]')
    assert cut not in done.stdout + done.stderr


def test_number_that_is_the_key_is_not_printed(here):
    """The line stays JSON. A number that contains no key stays a number."""
    digits = "123456789012345678"
    row = f'{{"prompt": "a cat", "seed": {digits}, "width": 512, "note": [-{digits}.5, 1e3]}}'
    done = here(*SUBMIT, "-", "--json", "--dry-run", given=row, MODELSLAB_API_KEY=digits)
    assert 0 == done.returncode, done.stderr
    (printed,) = map(json.loads, done.stdout.splitlines())
    assert "[key]" == printed["parameters"]["seed"]
    assert 512 == printed["parameters"]["width"]
    assert digits not in done.stdout + done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]], ids=repr)
def test_uncertain_submit_under_the_key_is_listed_without_it(here, options):
    """An earlier version recorded the API key as the key of a row."""
    lose_reply(here)
    with closing(sqlite3.connect(here.folder / "run.db")) as db:
        db.execute("UPDATE submits SET track_id = ?, key = ?", (f"row {KEY}", KEY))
        db.commit()
    listed = here("uncertain", *options)
    assert "row [key]" in listed.stdout
    assert KEY not in listed.stdout + listed.stderr


def test_generate_shows_no_key_among_the_parameters(program, tmp_path):
    """The record of a generation names its parameters."""
    done = program(
        "generate", REALTIME, "--prompt", f"my {KEY}", "--json", "--allow-private",
        folder=tmp_path,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "my [key]" == json.loads(done.stdout)["parameters"]["prompt"]
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [SUBMIT, ("run", "--family", "images")], ids=lambda c: c[0])
def test_damaged_line_of_a_table_shows_no_part_of_the_key(here, command):
    """The message names the line and does not quote it, because its end may be in the key."""
    lines = [f'{{"key":{" " * blanks}"{KEY}", ' for blanks in (1, 14, 24)]
    done = here(command[0], "-", *command[1:], given="\n".join(lines))
    assert "it is not a line of JSON" in done.stderr
    assert KEY[: len(KEY) // 2] not in done.stderr
