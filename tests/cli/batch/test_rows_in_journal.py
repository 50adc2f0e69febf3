"""`batch submit`: which rows of a table the journal has. No row is paid for twice."""

import hashlib
import json
import sqlite3
from contextlib import closing

import pytest

REALTIME = "realtime/text2img"
WORKFLOW = "workflows/run"
SUBMIT = ("submit", "-", "--allow-private", "--out", "pictures")
PICTURE = b"\x89PNG\r\n\x1a\n and so on"
REFUSED = "in the journal under other keys, and would be paid for again; nothing was sent"


@pytest.fixture
def submits(emulator):
    """The submits that the emulator got during this test."""
    before = len(emulator.submits)
    return lambda: emulator.submits[before:]


@pytest.fixture
def submit(here, path):
    """Run `batch submit` with a journal in a file or a database."""

    def run(table, *options, endpoint=REALTIME):
        arguments = ("--endpoint", endpoint, "--journal", str(path), *options)
        return here(*SUBMIT, *arguments, given=table)

    return run


@pytest.fixture
def journal(here):
    """Run `batch submit` with a journal in a file, whose keys `rename_keys` changes."""

    def run(table, *options, endpoint=REALTIME):
        return here(*SUBMIT, "--endpoint", endpoint, *options, given=table)

    return run


def old_key(endpoint, parameters, number=1):
    """The key of a row in a journal whose keys depend neither on track_ids nor on missing files."""
    text = json.dumps([endpoint, parameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16] + (f"-{number}" if number > 1 else "")


def rename_keys(here, key_by_track_id):
    """Give each submit with a known track_id the key that an old journal has for it."""
    with closing(sqlite3.connect(here.folder / "run.db")) as db:
        for track_id, key in key_by_track_id.items():
            changed = db.execute("UPDATE submits SET key = ? WHERE track_id = ?", (key, track_id))
            assert 1 == changed.rowcount
        db.commit()


def run_keys(here):
    with closing(sqlite3.connect(here.folder / "run.db")) as db:
        return dict(db.execute("SELECT track_id, key FROM submits"))


IDS = [
    ("1700000000000001", "1700000000000002"),
    ("00ff00ff00ff00ff", "00ff00ff00ff00aa-2"),
]


@pytest.mark.parametrize("ids", IDS, ids=["numbers", "digests"])
@pytest.mark.parametrize(
    ("before", "after"), [(("--key", "id"), ()), ((), ("--key", "id"))], ids=["left out", "added"]
)
def test_change_of_key_option_is_noticed_with_ids_like_digests(submit, submits, ids, before, after):
    """An order number or a hash looks like a key that the command makes, and is none."""
    table = "id,prompt\n{},a cat\n{},a dog\n".format(*ids)
    assert 0 == submit(table, *before).returncode
    for options in (after, (*after, "--dry-run")):
        second = submit(table, *options)
        assert 2 == second.returncode, second.stderr
        assert f"2 rows, the first at line 2, are {REFUSED}" in second.stderr
    assert 2 == len(submits())
    assert 0 == submit(table, *before).returncode
    assert 2 == len(submits())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("key,prompt,init_image\n{},a cat,a.png\n", "prompt,init_image\na cat,a.png\n"),
        ("prompt,init_image\na cat,a.png\n", "key,prompt,init_image\n{},a cat,a.png\n"),
        ("key,prompt,init_image\n{},a cat,a.png\n", "prompt,init_image\na cat,b.png\n"),
        ("prompt,init_image\na cat,a.png\n", "key,prompt,init_image\n{},a cat,b.png\n"),
    ],
    ids=["left out", "added", "left out and moved", "added and moved"],
)
def test_change_of_keys_is_noticed_for_a_row_with_a_file(here, submit, submits, first, second):
    """The work is the same, whatever the path of its file is."""
    for name in "a.png", "b.png":
        (here.folder / name).write_bytes(PICTURE)
    endpoint = "realtime/img2img"
    assert 0 == submit(first.format(IDS[0][0]), endpoint=endpoint).returncode
    result = submit(second.format(IDS[0][0]), endpoint=endpoint)
    assert 2 == result.returncode
    assert f"1 row, the first at line 2, is {REFUSED}" in result.stderr
    assert 1 == len(submits())


def test_row_without_a_key_whose_file_has_another_path_is_new(here, submit, submits):
    """It is known by its parameters, and the path is one of them."""
    for name in "a.png", "b.png":
        (here.folder / name).write_bytes(PICTURE)
        table = f"prompt,init_image\na cat,{name}\n"
        result = submit(table, endpoint="realtime/img2img")
        assert 0 == result.returncode, result.stderr
    assert 2 == len(submits())


def test_row_with_a_new_key_like_a_digest_is_new(submit, submits):
    """Both keys are the user's own, so the user wants the same work twice."""
    for key in IDS[0]:
        result = submit(f"key,prompt\n{key},a cat\n")
        assert 0 == result.returncode, result.stderr
    assert 2 == len(submits())


def test_equal_rows_are_known_by_their_track_ids(here, submit, submits):
    """A row that is added before an equal one does not take the work of that one."""
    assert 0 == submit("prompt,track_id\na cat,1\n").returncode
    for _ in range(2):
        result = submit("prompt,track_id\na cat,2\na cat,1\n", "--export", "out.jsonl")
        assert 0 == result.returncode, result.stderr
        assert [1, 2] == sorted(each.fields["track_id"] for each in submits())
    exported = map(json.loads, (here.folder / "out.jsonl").read_text().splitlines())
    assert {("1", "1"), ("2", "2")} == {
        (each["track_id"], each["input"]["track_id"]) for each in exported
    }


def test_rows_with_new_track_ids_are_not_paid_for_again(submit, submits):
    """A table may get random track_ids each time that a program writes it."""
    for table in "a cat,1\na dog,2\na cat,3\n", "a cat,1\na cat,4\na dog,5\na bird,6\n":
        for _ in range(2):
            result = submit(f"prompt,track_id\n{table}")
            assert 0 == result.returncode, result.stderr
    assert [1, 2, 3, 6] == sorted(each.fields["track_id"] for each in submits())


@pytest.mark.parametrize("ids", [("1", '"1"'), ('"1"', "1")], ids=["number", "text"])
def test_row_is_known_by_a_track_id_of_another_type(submit, submits, ids):
    """A table may become JSON, and its numbers texts."""
    for track_id in ids:
        assert 0 == submit(f'{{"prompt": "a cat", "track_id": {track_id}}}\n').returncode
    assert 1 == len(submits())


def test_row_with_an_added_or_removed_track_id_is_not_paid_for_again(submit, submits):
    """The command cannot know whether it is another row, so it sends nothing and says so."""
    tables = ["prompt,track_id\na cat,\n", "prompt,track_id\na dog,7\n"]
    changed = ["prompt,track_id\na cat,5\n", "prompt,track_id\na dog,\n"]
    for table in tables:
        assert 0 == submit(table).returncode
    for table in changed:
        result = submit(table)
        assert 2 == result.returncode
        assert f"1 row, the first at line 2, is {REFUSED}" in result.stderr
        assert "and the same track_ids, or another --journal" in result.stderr
    assert 2 == len(submits())
    assert 0 == submit("prompt,track_id\na cat,5\na cat,\n").returncode
    assert 3 == len(submits())


def test_old_journal_knows_rows_by_their_track_ids(here, journal, submits):
    """Its keys have no track_id in them. Rows may be moved, removed and added."""
    first = journal("prompt,track_id\na cat,1\na cat,5\na cat,3\n")
    assert 0 == first.returncode, first.stderr
    cat = {"prompt": "a cat"}
    rename_keys(
        here, {str(n): old_key(REALTIME, cat, number) for number, n in enumerate((1, 5, 3), 1)}
    )
    tables = "a cat,3\na cat,1\n", "a cat,9\na cat,5\na cat,1\na cat,3\n", "a cat,5\na cat,8\n"
    for table in tables:
        result = journal(f"prompt,track_id\n{table}")
        assert 0 == result.returncode, result.stderr
    assert [1, 3, 5, 9] == sorted(each.fields["track_id"] for each in submits())


def test_old_journal_knows_equal_rows_of_which_one_has_a_track_id(here, journal, submits):
    """The rows without a track_id take none of the keys that belong to the other one."""
    table = "prompt,track_id\na cat,\na cat,5\na cat,\n"
    assert 0 == journal(table).returncode
    cat, keys = {"prompt": "a cat"}, run_keys(here)
    first, last = sorted((key, track_id) for track_id, key in keys.items() if track_id != "5")
    order = {first[1]: 1, "5": 2, last[1]: 3}
    rename_keys(here, {name: f"old {number}" for name, number in order.items()})
    rename_keys(here, {name: old_key(REALTIME, cat, number) for name, number in order.items()})
    for again in table, "prompt,track_id\na cat,5\na cat,\na cat,\n":
        result = journal(again)
        assert 0 == result.returncode, result.stderr
        assert "3 before this run" in result.stdout
    assert 3 == len(submits())
    for _ in range(2):
        assert 0 == journal(f"{table}a cat,\n").returncode
        assert 4 == len(submits())


@pytest.mark.parametrize("name", ["cat.png", "./my cats/cat.JPEG", "cat", "a/cat"])
def test_row_of_a_workflow_whose_file_is_gone_is_not_paid_for_again(here, submit, submits, name):
    """The path is not sent as a text, as the command would send a prompt."""
    picture = here.folder / name
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(PICTURE)
    table = f"workflow_id,photo,style\nwf_1,{name},oil\n"
    assert 0 == submit(table, endpoint=WORKFLOW).returncode
    moved = picture.rename(here.folder / "elsewhere.png")
    for _ in range(2):
        result = submit(table, endpoint=WORKFLOW)
        assert 2 == result.returncode, result.stderr
    assert 1 == len(submits())
    moved.rename(picture)
    assert 0 == submit(table, endpoint=WORKFLOW).returncode
    assert 1 == len(submits())


def test_missing_file_of_a_workflow_is_named_with_what_to_write(submit, submits):
    """A text that looks like a path is sent only if it is in quotes."""
    result = submit('{"workflow_id": "wf_1", "photo": "absent.png"}\n', endpoint=WORKFLOW)
    assert 2 == result.returncode
    assert "line 1 of standard input skipped: there is no file 'absent.png' for photo" in (
        " ".join(result.stderr.split())
    )
    assert """to send it as a text, put it in double quotes: '"absent.png"'""" in result.stderr
    assert [] == submits()
    quoted = json.dumps({"workflow_id": "wf_1", "photo": '"absent.png"'})
    for table in quoted, 'workflow_id,photo\nwf_1,"""absent.png"""\n':
        assert 0 == submit(table, endpoint=WORKFLOW).returncode
    assert ["absent.png"] == [each.fields["photo"] for each in submits()]


def test_text_of_a_workflow_that_becomes_the_name_of_a_file_is_not_paid_for_again(
    here, submit, submits
):
    """The row has the same cells, so it is the same row with other parameters: a conflict."""
    table = "workflow_id,style\nwf_1,oil\n"
    assert 0 == submit(table, endpoint=WORKFLOW).returncode
    (here.folder / "oil").write_bytes(PICTURE)
    assert 2 == submit(table, endpoint=WORKFLOW).returncode
    assert 1 == len(submits())


def test_texts_of_a_workflow_that_are_no_paths_are_sent(submit, submits):
    """Prompts, ids of models, numbers, links and addresses are."""
    row = {
        "workflow_id": "wf_1",
        "prompt": "a poster of cat.png",
        "negative_prompt": "text.jpg",
        "style": "oil on canvas, 3.5 by 2.7. no frame",
        "model": "stabilityai/sdxl-1.0",
        "site": "example.com",
        "photo": "https://example.com/cat.png",
        "steps": 7,
        "mode": "/imagine a cat",
        "tags": ["a", "b.c"],
    }
    result = submit(json.dumps(row), endpoint=WORKFLOW)
    assert 0 == result.returncode, result.stderr
    (sent,) = submits()
    assert row.items() <= (sent.fields | {"workflow_id": "wf_1"}).items()


def test_old_journal_knows_the_row_of_a_workflow_with_a_file(here, journal, submits):
    """Its key has the path of the file in it, and equal rows are numbered."""
    (here.folder / "cat.png").write_bytes(PICTURE)
    table = "workflow_id,photo,track_id\nwf_1,cat.png,\nwf_1,./cat.png,\n"
    assert 0 == journal(table, endpoint=WORKFLOW).returncode
    assert 2 == len(submits())
    parameters = {"photo": "file:cat.png", "workflow_id": "wf_1"}
    rename_keys(
        here,
        {
            track_id: old_key(WORKFLOW, parameters, number)
            for number, track_id in enumerate(run_keys(here), 1)
        },
    )
    result = journal(table, endpoint=WORKFLOW)
    assert 0 == result.returncode, result.stderr
    assert 2 == len(submits())
