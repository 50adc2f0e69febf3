"""`batch submit`: from a table of prompts to files, and how a row with an error is reported."""

import asyncio
import json
import shlex
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from modelslab_async import ENDPOINTS, SubmitUncertain
from modelslab_async._cli.batch.uncertain_advice import with_command
from modelslab_async._submitting.submit_request import SubmitRequest
from modelslab_async.emulator import Emulator, Jobs

from ..conftest import KEY, STOP_SIGNALS, TIMEOUT_S, Program

REALTIME = "realtime/text2img"
# The time at which `lose_reply` records its submit.
SENT_AT = "2001-09-09T01:46:40+00:00"
SUBMIT = ("submit", "--endpoint", REALTIME, "--allow-private", "--out", "pictures")
CSV = """prompt,width,note
a lighthouse,512,first
"a cat, in oil",512,second
a dog,,third
"""


# A job that ends later than its submit, so that the journal has its ticket.
LATE_FAILURES = Jobs(duration=(0.2, 0.2), failure_rate=1.0)


@pytest.fixture
def submits(emulator):
    """The submits that the emulator got during this test."""
    before = len(emulator.submits)
    return lambda: emulator.submits[before:]


def records(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def lose_reply(here, endpoint=REALTIME):
    """Make a journal with a submit of a cat whose reply was lost."""
    assert 0 == here("run", "-", given="").returncode
    payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], {"prompt": "a cat"}).payload_hash
    with closing(sqlite3.connect(here.folder / "run.db")) as db:
        db.execute(
            "INSERT INTO submits (track_id, endpoint, payload_hash, recorded_at, key) "
            "VALUES ('77', ?, ?, 1e9, 'lost')",
            (endpoint, payload_hash),
        )
        db.commit()


def test_table_becomes_files_and_same_command_resumes(here, submits):
    """Each row is submitted once, its files are saved, and the export holds its columns."""
    (here.folder / "prompts.csv").write_text(CSV)
    first = here(*SUBMIT, "prompts.csv", "--json", "--export", "out.jsonl")
    assert 0 == first.returncode, first.stderr
    assert {"line 2", "line 3", "line 4"} == {each["row"] for each in records(first)}
    assert 3 == len([*(here.folder / "pictures").iterdir()])
    sent = {each.fields["prompt"]: each.fields for each in submits()}
    assert {"a lighthouse", "a cat, in oil", "a dog"} == sent.keys()
    assert 512 == sent["a lighthouse"]["width"]
    assert sent["a dog"].keys().isdisjoint({"width", "note"})
    lines = (here.folder / "out.jsonl").read_text().splitlines()
    inputs = {each["input"]["prompt"]: each["input"]["note"] for each in map(json.loads, lines)}
    assert {"a lighthouse": "first", "a cat, in oil": "second", "a dog": "third"} == inputs
    second = here(*SUBMIT, "prompts.csv")
    assert 0 == second.returncode, second.stderr
    assert "3 of 3 completed" in second.stdout
    assert "3 before this run" in second.stdout
    assert 3 == len(submits())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prompts.txt", "[masterpiece], a cat\n\na dog, big\n"),
        ("prompts.jsonl", '{"prompt": "[masterpiece], a cat"}\n{"prompt": "a dog, big"}\n'),
        ("prompts.json", '["[masterpiece], a cat", {"prompt": "a dog, big"}]'),
        ("-", "[masterpiece], a cat\na dog, big\n"),
        ("-", 'prompt\n"[masterpiece], a cat"\n"a dog, big"\n'),
        ("-", '{"prompt": "[masterpiece], a cat"}\n{"prompt": "a dog, big"}\n'),
    ],
)
def test_every_form_of_table_is_read(here, submits, name, text):
    """Lines of prompts, JSON lines, a JSON array, CSV and standard input give the same submits."""
    if name != "-":
        (here.folder / name).write_text(text)
    result = here(*SUBMIT, name, given=text if name == "-" else "")
    assert 0 == result.returncode, result.stderr
    assert {"[masterpiece], a cat", "a dog, big"} == {each.fields["prompt"] for each in submits()}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("prompts.csv", "prompt\nEin Bär in Köln\n".encode("latin-1"), 2),
        ("prompts.txt", "a cat\n“a dog”\n".encode("cp1252"), 2),
        ("prompts.jsonl", b'{"prompt": "a cat"}\n{"prompt": "a d\xf6g"}\n', 2),
        ("prompts.json", b'["a cat", "a d\xf6g"]\n', 1),
        ("prompts.csv", b"prompt\n" + b"a cat\n" * 5000 + b"B\xe4r\n", 5002),
        ("prompts.csv", "prompt\na cat\n".encode("utf-16"), 1),
        ("prompts.csv", "prompt\na cat\n".encode("utf-16-le"), 1),
        ("prompts.txt", b"a cat\n" * 5000 + b"a\0dog\n", 5001),
        ("prompts.xlsx", b"PK\x03\x04\x14\0\x06\0", 1),
        ("prompts.parquet", b"PAR1\x15\x04\x15\xd0\0PAR1", 1),
    ],
)
def test_table_that_is_not_utf8_is_refused(here, submits, name, content, line):
    """Its prompts would be garbage and paid for. The message names the line."""
    (here.folder / name).write_bytes(content)
    for arguments in ((), ("--dry-run",)):
        result = here(*SUBMIT, name, *arguments)
        assert (2, "", 1) == (result.returncode, result.stdout, result.stderr.count("\n"))
        assert f"line {line:,} of {name} is not UTF-8 text" in result.stderr
        assert "save the table as CSV, JSON or text, in UTF-8; nothing was sent" in result.stderr
    assert not submits()


def test_standard_input_is_read_as_utf8(here, submits):
    """The encoding of the terminal does not change what is sent."""
    result = here(*SUBMIT, "-", given="Ein Bär in Köln\n", PYTHONIOENCODING="latin-1")
    assert 0 == result.returncode, result.stderr
    assert ["Ein Bär in Köln"] == [each.fields["prompt"] for each in submits()]


@pytest.mark.parametrize(
    "text",
    [
        "text;width\na cat;512\na dog;256\n",
        "text,width\n" + "a cat,512\n" * 30,
        "text,width\n" + '"a cat\nand a dog",512\n' * 30,
    ],
)
def test_table_without_expected_column_is_not_taken_for_prompts(here, submits, text):
    """Its header and its rows would each be paid for as a prompt."""
    result = here(*SUBMIT, "-", given=text)
    assert 2 == result.returncode
    assert "looks like a CSV table" in result.stderr
    assert "text, width" in result.stderr
    assert not submits()


@pytest.mark.parametrize("text", ["cat,dog\n", "cat,dog\na fox\n", "a cat,a dog\na fox,ink\n"])
def test_prompts_with_commas_are_no_table(here, submits, text):
    """Lines of different lengths, or words with blanks, are prompts."""
    assert 0 == here(*SUBMIT, "-", given=text).returncode
    assert {*text.splitlines()} == {each.fields["prompt"] for each in submits()}


def test_input_format_says_that_lines_are_prompts(here, submits):
    """The option decides where the first lines may be either."""
    text = "cat,dog\nfox,bird\n"
    assert 2 == here(*SUBMIT, "-", given=text).returncode
    assert 0 == here(*SUBMIT, "-", "--input-format", "text", given=text).returncode
    assert {*text.splitlines()} == {each.fields["prompt"] for each in submits()}


def test_values_of_json_keep_their_types(here, submits):
    """A text that looks like a number stays a text. `--send` sends an unlisted parameter."""
    (here.folder / "house.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    rows = [
        {"endpoint": "realtime/img2img", "prompt": "42", "init_image": "house.png", "seed": 7},
        {"prompt": "a dog", "brand_new": "1", "note": "mine"},
    ]
    result = here(*SUBMIT, "-", "--send", "brand_new", given="\n".join(map(json.dumps, rows)))
    assert 0 == result.returncode, result.stderr
    sent = {each.fields["prompt"]: each.fields for each in submits()}
    assert 7 == sent["42"]["seed"]
    assert sent["42"]["init_image"].startswith("http")
    assert "1" == sent["a dog"]["brand_new"]
    assert "note" not in sent["a dog"]


@pytest.mark.parametrize("text", ["{}\n{}\n{}\n", "[{}, {}, {}]"])
def test_row_with_a_number_that_json_lacks_is_named_and_skipped(here, submits, text):
    """It is other work without its seed. A column that is not sent may hold such a number."""
    rows = (
        '{"prompt": "a cat", "seed": NaN}',
        '{"prompt": "a dog", "seed": 1e999}',
        '{"prompt": "a fox", "seed": 5, "score": NaN, "scores": [Infinity, 1]}',
    )
    (here.folder / "prompts.jsonl").write_text(text.format(*rows))
    run = here(*SUBMIT, "prompts.jsonl", "--export", "out.jsonl")
    assert 2 == run.returncode, run.stderr
    assert ["a fox"] == [each.fields["prompt"] for each in submits()]
    assert "'seed' is what JSON can carry, such as finite numbers" in " ".join(run.stderr.split())
    (row,) = map(json.loads, (here.folder / "out.jsonl").read_text().splitlines())
    assert {"prompt": "a fox", "seed": 5, "scores": [None, 1]}.items() <= row["input"].items()


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), ["output_format, temp (in some rows), my note"]),
        (("--json",), ["output_format, temp (in some rows), my note"]),
        (("--send", "output_format"), ["temp (in some rows), my note"]),
        (("--send", "my note"), ["output_format, temp (in some rows)"]),
        (("-p", "output_format=jpeg"), ["output_format, temp (in some rows), my note"]),
        (("--quiet",), []),
    ],
)
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_columns_that_are_not_sent_are_named(here, options, lines, dry_run):
    """One line on standard error says so, whatever the command prints besides."""
    table = """endpoint,prompt,init_image,output_format,temp,my note,empty,key
realtime/text2img,a cat,,png,no,mine,,1
realtime/img2img,a dog,https://example.com/a.png,png,no,,,2
"""
    result = here(*SUBMIT, "-", *options, *dry_run, given=table)
    assert 0 == result.returncode, result.stderr
    notes = [line for line in result.stderr.splitlines() if "not sent" in line]
    start = "modelslab-async: columns not sent (--send COLUMN sends one): "
    assert [f"{start}{columns}" for columns in lines] == notes


def test_sent_column_is_called_as_in_the_table(here, submits):
    """`--send` takes the name that the note shows, and sends it in the form of a parameter."""
    result = here(*SUBMIT, "-", "--send", "brand new", given="prompt,brand new\na cat,png\n")
    assert 0 == result.returncode, result.stderr
    assert ["png"] == [each.fields["brand_new"] for each in submits()]


def test_sent_column_that_no_row_has_is_refused(here, submits):
    """The rows would be paid for without the parameter. An empty column is no mistake."""
    table = "prompt,brand_new,other\na cat,,1\n"
    result = here(*SUBMIT, "-", "--send", "brandnew", given=table)
    assert 2 == result.returncode
    assert "'brandnew', which is no column of the table" in result.stderr
    assert "prompt, brand_new, other" in result.stderr
    assert not submits()
    assert 0 == here(*SUBMIT, "-", "--send", "brand new", given=table).returncode
    assert 1 == len(submits())


def test_sent_column_of_skipped_rows_is_a_column_of_the_table(here, submits):
    """Rows count even if they name an unknown endpoint, or a key that is no text."""
    rows = [
        '{"prompt": "a cat"}',
        '{"prompt": "a dog", "endpoint": "none/such", "brand_new": 1}',
        '{"prompt": "a fox", "key": 1.5, "other_new": 1}',
    ]
    options = ("--send", "brand_new", "--send", "other_new")
    result = here(*SUBMIT, "-", *options, given="\n".join(rows))
    assert "no column of the table" not in result.stderr
    assert 2 == result.returncode
    assert ["a cat"] == [each.fields["prompt"] for each in submits()]


def test_table_of_parameters_alone_has_no_note(here):
    """The columns `endpoint` and `key` are used, so they are not named."""
    table = f"endpoint,prompt,key\n{REALTIME},a cat,1\n"
    result = here(*SUBMIT, "-", "--dry-run", given=table)
    assert 0 == result.returncode, result.stderr
    assert "not sent" not in result.stderr


@pytest.mark.parametrize(
    ("table", "options", "first", "second"),
    [
        (
            "prompt,negative_prompt,negative prompt\na cat,blurry,dark\n",
            (),
            "negative_prompt",
            "negative prompt",
        ),
        ("prompt,init-image,init_image\na cat,,\n", (), "init-image", "init_image"),
        ("prompt,width,prompt\na cat,512,a dog\n", (), "prompt", "prompt"),
        ("prompt,my key,my-key\na cat,1,2\n", ("--key", "my key"), "my key", "my-key"),
        ("prompt,new one,new-one\na cat,1,2\n", ("--send", "new one"), "new one", "new-one"),
    ],
    ids=["parameter", "empty cells", "same name", "key", "sent column"],
)
def test_table_with_two_columns_for_one_parameter_is_refused(here, table, options, first, second):
    """One of them would be left out of work that is paid for. The message names both."""
    result = here(*SUBMIT, "-", *options, given=table)
    assert 2 == result.returncode
    assert f"{first!r} and {second!r} both name" in result.stderr
    assert "nothing was sent" in result.stderr
    assert not (here.folder / "run.db").exists()


def test_row_with_two_names_of_one_parameter_is_named_and_skipped(here, submits):
    """Each JSON object has names of its own, so the other rows are submitted."""
    rows = [
        '{"prompt": "a cat", "negative_prompt": "blurry", "negative prompt": "dark"}',
        '{"prompt": "a dog", "negative prompt": "dark"}',
        '{"prompt": "a cat", "prompt": "two cats", "negative_prompt": "dark"}',
    ]
    result = here(*SUBMIT, "-", given="\n".join(rows))
    assert 2 == result.returncode
    assert (
        "line 1 of standard input skipped: 'negative_prompt' and 'negative prompt' both name "
        "negative_prompt; keep one of them" in result.stderr
    )
    assert "line 3 of standard input skipped: 'prompt' has two values; keep one" in result.stderr
    sent = {each.fields["prompt"]: each.fields["negative_prompt"] for each in submits()}
    assert {"a dog": "dark"} == sent


@pytest.mark.parametrize(
    ("table", "options", "name"),
    [
        ("prompt,prompt\na cat,a dog\n", (), "prompt"),
        ("prompt,width,width\na cat,512,768\n", (), "width"),
        ("prompt,width,width\na cat,,\n", (), "width"),
        ("prompt,key,key\na cat,1,2\n", (), "key"),
        ("prompt,id,id\na cat,1,2\n", ("--key", "id"), "id"),
        ("prompt,new,new\na cat,1,2\n", ("--send", "new"), "new"),
    ],
    ids=["prompt", "parameter", "empty cells", "key", "named key", "sent column"],
)
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_table_with_one_name_for_two_columns_is_refused(here, table, options, name, dry_run):
    """A spreadsheet that joins tables makes such columns, and one of them would not be sent."""
    result = here(*SUBMIT, "-", *options, *dry_run, given=table)
    assert (2, "") == (result.returncode, result.stdout)
    assert f"the columns {name!r} and {name!r} both name {name}; keep one of" in result.stderr
    assert not (here.folder / "run.db").exists()


@pytest.mark.parametrize(
    ("repeated", "name"),
    [
        ('"prompt": "a cat", "prompt": "a fox"', "prompt"),
        ('"prompt": "a cat", "key": "1", "key": "2"', "key"),
    ],
)
def test_row_with_two_values_of_one_name_is_named_and_skipped(here, submits, repeated, name):
    """One of the values would be left out. A JSON array is refused as a whole."""
    rows = ['{"prompt": "a dog"}', f"{{{repeated}}}", '{"prompt": "a hen"}']
    array = here(*SUBMIT, "-", given=f"[{', '.join(rows)}]")
    assert 2 == array.returncode
    assert f"in an object of standard input, {name!r} has two values" in array.stderr
    assert [] == submits()
    lines = here(*SUBMIT, "-", given="\n".join(rows))
    assert 2 == lines.returncode
    assert f"line 2 of standard input skipped: {name!r} has two values; keep one" in lines.stderr
    assert {"a dog", "a hen"} == {each.fields["prompt"] for each in submits()}


@pytest.mark.parametrize(
    "track_id",
    ["a\\u0000b", "a\\ud800b", "x" * 2001],
    ids=["NUL", "half a surrogate pair", "too long"],
)
def test_row_with_a_track_id_that_no_journal_holds_is_named_and_skipped(
    here, submits, track_id, path
):
    """The other rows are submitted, more of them than are in progress at once."""
    journal = ("--journal", str(path))
    bad = f'{{"prompt": "bad", "track_id": "{track_id}"}}'
    rows = [bad, *(f'{{"prompt": "cat {n}"}}' for n in range(120))]
    dry = here(*SUBMIT, "-", "--dry-run", *journal, given="\n".join(rows))
    assert (2, "") == (dry.returncode, dry.stdout)
    assert "120 would be submitted" in dry.stderr
    result = here("submit", "--endpoint", REALTIME, "-", *journal, given="\n".join(rows))
    assert 2 == result.returncode
    assert "line 1 of standard input skipped: the track_id is" in result.stderr
    assert {f"cat {n}" for n in range(120)} == {each.fields["prompt"] for each in submits()}


def test_two_columns_of_one_name_that_are_not_sent_are_kept(here):
    """They are no parameters, and the export has both."""
    table = "prompt,my note,my_note\na cat,1,2\n"
    result = here(*SUBMIT, "-", "--export", "out.jsonl", given=table)
    assert 0 == result.returncode, result.stderr
    [line] = (here.folder / "out.jsonl").read_text().splitlines()
    found = json.loads(line)["input"]
    assert ("1", "2") == (found["my note"], found["my_note"])


def test_bad_rows_are_named_and_skipped(here, submits):
    """The other rows are submitted, and the exit code is that of a bad input."""
    rows = [
        '{"prompt": "a cat"}',
        '{"width": 512}',
        '{"prompt": "a dog", "endpoint": "realtime/text2imgg"}',
        '{"prompt": "a fox", "widht": 512}',
        "{broken",
        "7",
        '{"prompt": "a cow", "key": "a"}',
        '{"prompt": "a pig", "key": "a"}',
        '{"prompt": "a hen", "key": 1.5}',
        '{"prompt": "winter", "endpoint": "realtime/img2img", "init_image": "absent.png"}',
        '{"prompt": "a hen", "webhook": "me.example/hooks"}',
    ]
    result = here(*SUBMIT, "-", given="\n".join(rows))
    assert 2 == result.returncode
    assert {"a cat", "a cow"} == {each.fields["prompt"] for each in submits()}
    for line in (
        "line 2 of standard input skipped: realtime/text2img needs prompt",
        "line 3 of standard input skipped: unknown endpoint 'realtime/text2imgg'",
        "line 4 of standard input skipped: realtime/text2img expects 'width', got 'widht'",
        "line 5 of standard input skipped: it is not a line of JSON",
        "line 6 of standard input skipped: int is not an object",
        "line 8 of standard input skipped: its key 'a' is that of line 7",
        "line 9 of standard input skipped: its key is of type float",
        "line 10 of standard input skipped: init_image takes a file, and there is no file",
        "line 11 of standard input skipped: webhook is a whole address",
    ):
        assert line in result.stderr
    strict = here(*SUBMIT, "-", "--strict", given="\n".join(rows))
    assert 2 == strict.returncode
    assert "9 rows have an error, so nothing was started" in strict.stderr
    assert 2 == len(submits())


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_rows_with_same_error_are_one_message(here, submits, dry_run):
    """It names their lines, and how to give all of them what they lack."""
    rows = ['{"prompt": "a cat"}'] * 40
    rows[19] = '{"width": 5}'
    rows.append('{"prompt": "a dog", "model_id": "sdxl"}')
    table = "\n".join(rows)
    result = here("submit", "--endpoint", "images/text2img", "-", *dry_run, given=table)
    assert 2 == result.returncode
    messages = [line for line in result.stderr.splitlines() if "skipped" in line]
    assert 2 == len(messages)
    assert "lines 1-19, 21-40 of standard input skipped: images/text2img needs" in messages[0]
    assert "for all rows, give -p model_id=VALUE; or add a column" in messages[0]
    assert "line 20 of standard input skipped" in messages[1]
    assert "name a column `prompt`; name a column `model_id`; the columns are" in messages[1]
    assert "or -p prompt=VALUE -p model_id=VALUE for all rows that lack it" in messages[1]
    given = ("-p", "model_id=sdxl", "--strict", "--dry-run")
    strict = here("submit", "--endpoint", "images/text2img", "-", *given, given=table)
    assert "1 row has an error, so nothing was started" in strict.stderr
    assert (0 if dry_run else 1) == len(submits())


@pytest.mark.parametrize(
    ("name", "table", "advice"),
    [
        (
            "rows.csv",
            "idea,my width\na cat,512\n",
            "name a column `prompt`; the columns are 'idea', 'my width'",
        ),
        (
            "rows.jsonl",
            '{"idea": "a cat", "width": 512}',
            "name a column `prompt`; the columns are 'idea', 'width'",
        ),
        ("rows.csv", "prompt,width\n,512\n", "fill the column `prompt`"),
        ("rows.jsonl", '{"prompt": ""}', "fill the column `prompt`"),
    ],
    ids=["CSV", "JSON", "empty cell", "only an empty cell"],
)
def test_row_without_required_column_is_told_to_name_one(here, name, table, advice):
    """This comes before the option that gives all rows the same prompt."""
    (here.folder / name).write_text(table)
    result = here(*SUBMIT, name, "--dry-run")
    assert 2 == result.returncode
    assert f"parameters; {advice}; or -p prompt=VALUE for all rows that lack it\n" in result.stderr


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("idea\na cat\na dog\n", "all 2 rows of rows.csv were skipped, so nothing was submitted"),
        ("idea\na cat\n", "the only row of rows.csv was skipped, so nothing was submitted"),
    ],
)
def test_table_whose_rows_were_all_skipped_submits_nothing(here, submits, table, message, dry_run):
    """The command says so, and counts no rows."""
    (here.folder / "rows.csv").write_text(table)
    result = here(*SUBMIT, "rows.csv", *dry_run)
    assert 2 == result.returncode
    assert message in result.stderr
    assert "0 rows" not in result.stderr
    assert [] == submits()


@pytest.mark.parametrize(
    "table",
    [
        "a cat\na dog\n",
        "prompt\na cat\na dog\n",
        '{"prompt": "a cat"}\n{broken\n{"prompt": "a dog"}\n',
    ],
    ids=["text", "CSV", "JSON"],
)
def test_table_without_endpoints_is_one_error(here, submits, table):
    """One line says both ways to give an endpoint, however many rows there are."""
    result = here("submit", "-", given=table)
    assert (2, "", 1) == (result.returncode, result.stdout, result.stderr.count("\n"))
    assert "no row of standard input names an endpoint; give --endpoint" in result.stderr
    assert [] == submits()
    assert not (here.folder / "run.db").exists()


def test_row_without_endpoint_is_named(here, submits):
    """The other rows, which have one, are submitted."""
    result = here("submit", "-", given=f"prompt,endpoint\na cat,\na dog,{REALTIME}\n")
    assert 2 == result.returncode
    assert (
        "line 2 of standard input skipped: it names no endpoint; give --endpoint" in result.stderr
    )
    assert ["a dog"] == [each.fields["prompt"] for each in submits()]


def test_rows_that_cannot_be_read_are_named_without_endpoint(here):
    """What is wrong with them comes before the endpoint that they lack."""
    result = here("submit", "-", given="{broken\n{too\n")
    assert 2 == result.returncode
    assert "lines 1-2 of standard input skipped: it is not a line of JSON" in result.stderr


def test_problem_that_rows_share_is_one_message(here):
    """A wrong format, a column that the table lacks, and short rows name their lines once."""
    rows = "".join(f"p{number}\n" for number in range(40))
    for options, lines, problem in (
        (("--input-format", "json"), "1-41", "it is not a line of JSON"),
        (("--key", "ID"), "2-41", "it has no 'ID', which --key names; it has 'id', 'prompt'"),
        ((), "2-41", "fill the column `prompt`"),
    ):
        result = here(*SUBMIT, "-", "--dry-run", *options, given=f"id,prompt\n{rows}")
        assert (2, 2) == (result.returncode, result.stderr.count("\n")), result.stderr
        assert f"lines {lines} of standard input skipped: " in result.stderr
        assert problem in result.stderr
        assert "name a column" not in result.stderr


def test_most_and_dry_run_send_nothing(here, submits):
    """They count only what is not in the journal yet. With both, the dry run refuses as the run."""
    assert 0 == here(*SUBMIT, "-", given="a cat\n").returncode
    table = "a cat\na dog\na fox\n"
    dry = here(*SUBMIT, "-", "--dry-run", "--json", given=table)
    assert 0 == dry.returncode
    assert "3 rows, 1 of them in the journal; 2 would be submitted" in dry.stderr
    assert ["a dog", "a fox"] == [each["parameters"]["prompt"] for each in records(dry)]
    refused = "this would start 2 generations, and --most allows 1; nothing was sent"
    for option in (), ("--dry-run", "--json"):
        bounded = here(*SUBMIT, "-", "--most", "1", *option, given=table)
        assert (2, "") == (bounded.returncode, bounded.stdout)
        assert refused in bounded.stderr
    assert 0 == here(*SUBMIT, "-", "--most", "2", "--dry-run", given=table).returncode
    assert 1 == len(submits())
    assert 0 == here(*SUBMIT, "-", "--most", "2", given=table).returncode
    assert 3 == len(submits())


def test_most_of_zero_resumes_and_pays_for_nothing(here, submits):
    """Rows that are all in the journal end as usual. A table with a new row is refused."""
    assert 0 == here(*SUBMIT, "-", given="a cat\n").returncode
    resumed = here(*SUBMIT, "-", "--most", "0", given="a cat\n")
    assert 0 == resumed.returncode, resumed.stderr
    assert "1 of 1 completed" in resumed.stdout
    refused = here(*SUBMIT, "-", "--most", "0", given="a cat\na dog\n")
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "would start 1 generation, and --most allows 0; nothing was sent" in refused.stderr
    assert 1 == len(submits())


def test_dry_run_makes_no_journal(here):
    """Nothing is left behind."""
    assert 0 == here(*SUBMIT, "-", "--dry-run", given="a cat\n").returncode
    assert not (here.folder / "run.db").exists()


def test_keys_and_defaults_come_from_options(here, submits):
    """A row whose parameters differ from those of its key ends alone, as a conflict."""
    table = "id,prompt\n1,a cat\n2,a dog\n"
    options = (*SUBMIT, "-", "--key", "id", "-p", "width=256", "--json")
    first = here(*options, given=table)
    assert 0 == first.returncode, first.stderr
    assert {"1", "2"} == {each["key"] for each in records(first)}
    assert [256, 256] == [each.fields["width"] for each in submits()]
    second = here(*options, given="id,prompt\n1,a cat\n2,a fox\n3,a hen\n,a cow\n")
    assert 2 == second.returncode
    assert "line 3: the key of submission '2' is in this journal for another" in second.stderr
    assert "line 5 of standard input skipped: it has no 'id', which --key names" in second.stderr
    prompts = Counter(each.fields["prompt"] for each in submits())
    assert {"a cat": 1, "a dog": 1, "a hen": 1} == prompts
    (conflict, done) = sorted(records(second), key=lambda each: each["kind"], reverse=True)
    assert ("unsubmitted", "SubmissionConflict", "line 3") == (
        *(conflict["kind"], conflict["error"], conflict["row"]),
    )
    assert ("success", "3") == (done["kind"], done["key"])


def test_counts_add_up_after_conflicts(here):
    """The journal's work for the keys of conflicting rows is counted once, and each row apart."""
    table = "key,prompt\n1,a cat\n2,a dog\n3,a fox\n"
    assert 0 == here(*SUBMIT, "-", given=table).returncode
    edited = "key,prompt\n1,a cat\n2,a cow\n3,a hen\n4,a pig\n"
    again = here(*SUBMIT, "-", given=edited)
    assert 2 == again.returncode
    counts = "4 of 4 completed (1 succeeded, 0 failed, 1 saved, 3 before this run)"
    assert f"{counts}, 2 conflicts with the journal" in again.stdout
    quiet = here(*SUBMIT, "-", "--quiet", given=edited)
    assert "2 in conflict with the journal" in quiet.stderr


def test_export_has_named_column_as_key(here):
    """The help says so, and the name of the column does not come back."""
    ran = here(*SUBMIT, "-", "--key", "id", "--export", "out.jsonl", given="id,prompt\n1,a cat\n")
    assert 0 == ran.returncode, ran.stderr
    [row] = map(json.loads, (here.folder / "out.jsonl").read_text().splitlines())
    assert ("1", {"prompt": "a cat"}) == (row["key"], row["input"])
    assert "Exports have it as `key`" in " ".join(here("submit", "--help").stdout.split())


def test_dry_run_names_conflicts(here, submits):
    """A row of a recorded key with other parameters is told before anything is sent."""
    options = (*SUBMIT, "-", "--key", "id")
    assert 0 == here(*options, given="id,prompt\n1,a cat\n2,a dog\n").returncode
    dry = here(*options, "--dry-run", given="id,prompt\n1,a cat\n2,a fox\n")
    assert 2 == dry.returncode
    assert "line 3: the key '2' is in the journal for another endpoint or other" in dry.stderr
    assert "2 rows, 2 of them in the journal; 0 would be submitted" in dry.stderr
    assert "; 1 would end as conflicts" in dry.stderr
    assert "line 2" not in dry.stderr
    assert 2 == len(submits())


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["summary", "quiet"])
def test_failed_rows_are_named_and_listed_by_export(here, serving, quiet):
    """The lines stand beside the reason, and the command of the hint gives the reason of each."""
    table = "".join(f"cat {n}\n" for n in range(4))
    arguments = (*SUBMIT, "-", "--journal", "my run.db", *quiet)
    with serving(Emulator(jobs=LATE_FAILURES)) as url:
        failed = here(*arguments, given=table, MODELSLAB_BASE_URL=url)
    assert 1 == failed.returncode, failed.stderr
    assert "4 x Failed, Try Again (lines 1-4)" in (failed.stderr if quiet else failed.stdout)
    words = shlex.split(failed.stderr.rpartition("` lists each")[0].rpartition("`")[2])
    assert ["modelslab-async", "batch"] == words[:2]
    exported = here(*words[2:])
    assert {"Failed, Try Again"} == {each["message"] for each in records(exported)}
    assert {f"cat {n}" for n in range(4)} == {each["input"]["prompt"] for each in records(exported)}


def test_export_and_json_make_hint_needless(here, serving):
    """The failed rows are in the file, or on standard output."""
    with serving(Emulator(jobs=LATE_FAILURES)) as url:
        for n, option in enumerate([("--json",), ("--export", "out.jsonl")]):
            failed = here(*SUBMIT, "-", *option, given=f"cat {n}\n", MODELSLAB_BASE_URL=url)
            assert 1 == failed.returncode, failed.stderr
            assert "lists each outcome" not in failed.stderr


@pytest.mark.parametrize(
    ("before", "after"), [(("--key", "id"), ()), ((), ("--key", "id"))], ids=["left out", "added"]
)
def test_change_of_key_option_pays_for_nothing_again(here, submits, before, after):
    """The rows are in the journal under keys of the other kind. The run and --dry-run refuse."""
    table = "id,prompt\n1,a cat\n2,a dog\n3,a cat\n"
    first = here(*SUBMIT, "-", *before, given=table)
    assert 0 == first.returncode, first.stderr
    for option in (), ("--dry-run",):
        second = here(*SUBMIT, "-", *after, *option, given=table + "4,a fox\n")
        assert 2 == second.returncode, second.stderr
        assert "3 rows, the first at line 2, are in the journal under other keys" in second.stderr
        assert "nothing was sent: give the same --key as before" in second.stderr
    assert 3 == len(submits())
    assert 0 == here(*SUBMIT, "-", *before, given=table + "4,a cat\n").returncode
    assert 4 == len(submits())


def test_equal_rows_with_and_without_a_key_are_each_submitted(here, submits):
    """A table may give a key to one of two equal rows; a resumed run submits the other one."""
    assert 0 == here(*SUBMIT, "-", given="key,prompt\nmine,a cat\n").returncode
    result = here(*SUBMIT, "-", given="key,prompt\nmine,a cat\n,a cat\n")
    assert 0 == result.returncode, result.stderr
    assert 2 == len(submits())


def test_failed_row_may_be_tried_again_with_a_key(here, submits, serving):
    """A new key for a row that failed is no change of the kind of keys."""
    with serving(Emulator(jobs=Jobs(duration=(0.0, 0.0), failure_rate=1.0))) as url:
        failed = here(*SUBMIT, "-", given="prompt\na cat\n", MODELSLAB_BASE_URL=url)
    assert 1 == failed.returncode, failed.stderr
    again = here(*SUBMIT, "-", given="key,prompt\nagain,a cat\n")
    assert "are in the journal under other keys" not in again.stderr
    assert 1 == len(submits())


def test_submit_that_failed_at_once_is_sent_again(here, submits, serving):
    """The message says so; the journal does not have the row."""
    failing = Emulator(jobs=Jobs(duration=(0.0, 0.0), failure_rate=1.0, immediate=1.0))
    with serving(failing) as url:
        failed = here(*SUBMIT, "-", given="a cat\n", MODELSLAB_BASE_URL=url)
    assert 1 == failed.returncode, failed.stderr
    assert "1 not started" in failed.stdout
    assert (
        "line 1: Failed, Try Again; nothing was started, and the next start submits the row again"
    ) in failed.stderr
    dry = here(*SUBMIT, "-", "--dry-run", given="a cat\n")
    assert "1 row, 0 of them in the journal; 1 would be submitted" in dry.stderr
    assert 0 == here(*SUBMIT, "-", given="a cat\n").returncode
    assert 1 == len(submits())


def test_refused_link_is_told_when_it_happens(here):
    """The first one is, once, and not with --quiet."""
    arguments = ("submit", "--endpoint", REALTIME, "--out", "pictures", "-")
    result = here(*arguments, given="a cat\na dog\n")
    assert 8 == result.returncode
    assert 1 == result.stderr.count(": not saved: ")
    assert "allow it with --allow-private" in result.stderr
    quiet = here(*arguments, "--quiet", given="a cat\na dog\n")
    assert 8 == quiet.returncode
    assert ": not saved: " not in quiet.stderr


def test_refused_key_is_reported_once(here):
    """One line is printed for all rows. Every row can be submitted later."""
    table = "".join(f"cat {n}\n" for n in range(20))
    result = here(*SUBMIT, "-", given=table, MODELSLAB_API_KEY="a-wrong-key-of-someone")
    assert 3 == result.returncode
    assert 1 == result.stderr.count("check the key in MODELSLAB_API_KEY")
    assert "20 not started" in result.stdout
    assert "a-wrong-key-of-someone" not in result.stdout + result.stderr
    assert 0 == here(*SUBMIT, "-", given=table).returncode


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_missing_key_of_an_endpoint_is_reported_once(here, submits, dry_run):
    """The table is read before anything is sent, so no row is submitted with the other key."""
    names = ("enterprise_realtime/text2img", REALTIME)
    rows = [json.dumps({"endpoint": name, "prompt": "a cat"}) for name in names]
    result = here(
        *("submit", "-", *dry_run),
        given="\n".join(rows * 20),
        MODELSLAB_API_KEY=None,
        MODELSLAB_ENTERPRISE_API_KEY="another-key",
    )
    assert (3, "", 1) == (result.returncode, result.stdout, result.stderr.count("\n"))
    assert f"{REALTIME}: this family needs the standard key; set MODELSLAB" in result.stderr
    assert [] == submits()


def test_refused_request_names_the_parameters_of_its_endpoint(here, serving):
    """The message on standard error and the record of the row are the same."""
    with serving(Emulator(endpoints={})) as url:
        result = here(*SUBMIT, "-", "--json", given="a cat\n", MODELSLAB_BASE_URL=url)
    assert 2 == result.returncode
    hint = f"`modelslab-async endpoints {REALTIME}` lists the parameters"
    assert hint in result.stderr
    assert [True] == [hint in each["message"] for each in records(result)]


def test_uncertain_submit_is_listed_and_settled(here, submits):
    """It is sent again only after the user says that it started nothing."""
    lose_reply(here)
    table = "key,prompt\nlost,a cat\n"
    for _ in range(2):
        result = here(*SUBMIT, "-", given=table)
        assert 9 == result.returncode
        assert "line 2: realtime/text2img (track_id 77) may have been sent before" in result.stderr
        command = "modelslab-async batch uncertain 77"
        advice = f"`{command} --ticket TICKET`, or `{command} --not-started`"
        assert advice in result.stderr
        assert "confirm" not in result.stderr
        assert "1 of 1 completed (0 succeeded, 0 failed, 0 saved, 1 uncertain)" in result.stdout
    assert [] == submits()
    run = here("run", "--quiet")
    assert 9 == run.returncode
    assert "1 submit may or may not have started work, and is never sent again" in run.stderr
    listed = here("uncertain")
    assert advice in listed.stderr
    assert "77  realtime/text2img  sent 2001-09-09T01:46:40+00:00  key lost" in listed.stdout
    assert 2 == here("uncertain", "77").returncode
    assert 0 == here("uncertain", "77", "--not-started").returncode
    assert 2 == here("uncertain", "77", "--not-started").returncode
    assert 0 == here(*SUBMIT, "-", given=table).returncode
    assert 1 == len(submits())


def test_uncertain_submit_shows_the_ticket_that_its_reply_names(here):
    """The user can wait for this ticket before looking for the work elsewhere."""
    lose_reply(here)
    with closing(sqlite3.connect(here.folder / "run.db")) as db, db:
        db.execute("UPDATE submits SET named_ticket = 'realtime:111'")
    assert "its reply names realtime:111, so wait for" in here("uncertain").stderr
    assert ["realtime:111"] == [
        each["named_ticket"] for each in records(here("uncertain", "--json"))
    ]


@pytest.mark.parametrize(
    ("endpoint", "where"),
    [
        (REALTIME, "or in a webhook with the track_id 77"),
        ("video/scene_maker", f"by its time (sent about {SENT_AT}) or, if it was sent with a"),
    ],
)
def test_uncertain_submit_is_looked_for_by_what_the_service_can_show(here, endpoint, where):
    """If the endpoint takes no track_id, the id may be in the journal alone."""
    lose_reply(here, endpoint)
    listed = here("uncertain")
    assert f"look for it in your account at the service, {where}" in listed.stderr
    assert f"77  {endpoint}  sent {SENT_AT}" in listed.stdout


def test_advice_on_uncertain_submit_names_its_journal():
    """The command can be copied to a shell as it stands."""
    error = SubmitUncertain("no reply", track_id="77")
    text = str(with_command(error, Path("my run.db")))
    assert "`modelslab-async batch uncertain 77 --journal 'my run.db' --ticket TICKET`" in text
    without_id = str(with_command(SubmitUncertain("no reply"), Path("run.db")))
    assert without_id.endswith("`modelslab-async batch uncertain` lists it, and says what to do")


def test_uncertain_submit_gets_its_ticket(here, emulator, submits):
    """The user found the work, and the next command waits for it."""
    emulator.add_job("realtime:4711")
    lose_reply(here)
    assert 0 == here("uncertain", "77", "--ticket", "realtime:4711").returncode
    result = here(*SUBMIT, "-", "--json", given="key,prompt\nlost,a cat\n")
    assert 0 == result.returncode, result.stderr
    assert ["realtime:4711"] == [each["ticket"] for each in records(result)]
    assert [] == submits()


def test_ticket_of_another_work_is_refused(here, submits):
    """A confirmed submit keeps its ticket, and an uncertain one gets none of another submit."""
    assert 0 == here(*SUBMIT, "-", given="key,prompt\npaid,a cat\n").returncode
    (paid,) = records(here("export", "-", "--file-format", "jsonl"))
    lose_reply(here)
    settled, own = paid["track_id"], paid["ticket"]
    for track_id, ticket, message in [
        (settled, "realtime:5", f"no uncertain submit with the track_id {settled!r}"),
        ("77", own, f"{own} is the ticket of the submit with the track_id {settled!r}"),
        ("77", "video:5", "starts tickets such as realtime:5, got video:5"),
    ]:
        refused = here("uncertain", track_id, "--ticket", ticket)
        assert (2, "") == (refused.returncode, refused.stdout)
        assert message in refused.stderr
    assert [paid] == records(here("export", "-", "--file-format", "jsonl"))
    assert "77  realtime/text2img" in here("uncertain").stdout
    assert 1 == len(submits())


def test_key_in_a_column_is_not_printed(here):
    """The lines of `--json` have the columns of the row, as the exports have."""
    result = here(*SUBMIT, "-", "--json", given=f"prompt,note\na cat,my {KEY}\n")
    assert 0 == result.returncode, result.stderr
    assert ["my [key]"] == [each["input"]["note"] for each in records(result)]


def test_uncertain_submit_gets_no_ticket_that_is_a_key(here):
    """The API key was pasted in place of the id."""
    lose_reply(here)
    refused = here("uncertain", "77", "--ticket", f"realtime:{KEY}")
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "realtime:[key] is no ticket" in refused.stderr
    assert KEY not in refused.stderr
    assert "77  realtime/text2img" in here("uncertain").stdout


class HeldThirdSubmit(Emulator):
    """An emulator that answers the third submit, and each one after it, once the test lets it."""

    def __init__(self) -> None:
        super().__init__(jobs=Jobs(duration=(0.0, 0.0)))
        self.has_third, self.is_released = threading.Event(), threading.Event()

    async def __call__(self, scope, receive, send):
        if len(self.submits) == 2:
            self.has_third.set()
            while not self.is_released.is_set():  # noqa: ASYNC110 -- another thread sets it.
                await asyncio.sleep(0.01)
        await super().__call__(scope, receive, send)


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_signal_submits_no_more_and_same_command_resumes(serving, tmp_path, stop):
    """What was in flight is in the journal, and no row is paid for twice."""
    emulator = HeldThirdSubmit()
    table = tmp_path / "prompts.txt"
    table.write_text("".join(f"cat {n}\n" for n in range(60)))
    arguments = ("batch", "submit", str(table), "--endpoint", REALTIME, "--queue", "1")
    arguments += ("--journal", str(tmp_path / "run.db"))
    with serving(emulator) as url:
        program = Program(url)
        with program.start(*arguments) as process:
            assert emulator.has_third.wait(TIMEOUT_S)
            process.send_signal(stop)
            while "again to stop at once" not in (line := process.stderr.readline()):
                assert line
            emulator.is_released.set()
            _, messages = process.communicate(timeout=TIMEOUT_S)
        assert 128 + stop == process.returncode, messages
        assert "run the same command again to resume" in messages
        uncertain = program("batch", "uncertain", "--journal", str(tmp_path / "run.db"))
        assert (0, "") == (uncertain.returncode, uncertain.stdout)
        assert 3 == len(emulator.submits)
        assert 0 == program(*arguments).returncode
    prompts = Counter(each.fields["prompt"] for each in emulator.submits)
    assert {f"cat {n}": 1 for n in range(60)} == prompts
