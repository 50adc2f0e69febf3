"""An export holds every outcome in a format of other programs, or there is no file."""

import asyncio
import csv
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from pyarrow import parquet

from modelslab_async import Batch, Failed, Success, Unresolved, WaitTimeout, from_dict
from modelslab_async._journal import exports
from modelslab_async._journal.tickets import OutcomeRow

BODY = {"status": "success", "output": ["https://a/1.png", 'b,"c"\n'], "message": "é"}
NOW = 1_800_000_000.0
# An export that never ends fails here, instead of holding the suite.
TIMEOUT_S = 300


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def path(request):
    """Where the journal is kept. The formats are the same for both, so one is enough every day."""
    return request.getfixturevalue("file_path" if request.param == "sqlite" else "address")


@pytest.fixture
async def batch(path):
    """Three tickets with an outcome of each kind, and an open one."""
    async with Batch.open(path, clock=lambda: NOW) as batch:
        await batch.add(["images:1", "images:2", "video:3", "video:4"])
        run = await batch.journal.leases.begin_run(lease=60)
        claim = await batch.journal.leases.claim(run, before_run=run, limit=3, lease=60)
        (one, first), (two, second), (three, third) = claim.tickets
        success = Success(
            ticket=first, output=tuple(BODY["output"]), message="é", raw=BODY, nsfw=True
        )
        cause = WaitTimeout("late", ticket=third)
        completions = [
            OutcomeRow(one, 2, success),
            OutcomeRow(two, 1, Failed(ticket=second, message="no", reason="not_found")),
            OutcomeRow(three, 0, Unresolved(ticket=third, cause=cause)),
        ]
        await batch.journal.leases.complete(run, completions)
        await batch.journal.leases.end_run(run)
        yield batch


async def test_json_lines_can_be_read_back(batch, tmp_path):
    """`from_dict` takes each line."""
    file = tmp_path / "out.jsonl"
    assert 3 == await batch.export(file)
    found = [from_dict(json.loads(line)) for line in file.read_text().splitlines()]
    recorded = [each async for each in batch.outcomes()]
    assert recorded[:2] == found[:2]
    assert (str(recorded[2].ticket), str(recorded[2].cause)) == (
        str(found[2].ticket),
        str(found[2].cause),
    )


async def test_csv_has_a_row_for_each_outcome(batch, tmp_path):
    """Columns are named, and texts may hold anything."""
    file = tmp_path / "out.csv"
    assert 3 == await batch.export(file)
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert ["images:1", "images:2", "video:3"] == [row["ticket"] for row in rows]
    assert ["success", "failed", "unresolved"] == [row["state"] for row in rows]
    assert ["", "not_found", "WaitTimeout"] == [row["reason"] for row in rows]
    assert ["é", "no", "late"] == [row["message"] for row in rows]
    assert ["2", "1", "0"] == [row["polls"] for row in rows]
    assert BODY["output"] == json.loads(rows[0]["output"])
    assert BODY == json.loads(rows[0]["body"])
    assert datetime.fromtimestamp(NOW, UTC) == datetime.fromisoformat(rows[0]["completed_at"])


async def test_parquet_has_typed_columns(batch, tmp_path):
    """They are the columns of CSV."""
    file = tmp_path / "out"
    assert 3 == await batch.export(file, file_format="parquet")
    rows = parquet.read_table(file).to_pylist()
    assert ["images:1", "images:2", "video:3"] == [row["ticket"] for row in rows]
    assert [BODY["output"], [], []] == [row["output"] for row in rows]
    assert ["", "not_found", "WaitTimeout"] == [row["reason"] for row in rows]
    assert [2, 1, 0] == [row["polls"] for row in rows]
    assert {datetime.fromtimestamp(NOW, UTC)} == {row["completed_at"] for row in rows}
    assert BODY == json.loads(rows[0]["body"])


async def test_parquet_without_pyarrow_says_what_to_install(batch, tmp_path, monkeypatch):
    """No file is left."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"modelslab-async\[parquet\]"):
        await batch.export(tmp_path / "out.parquet")
    assert [] == list(tmp_path.glob("*out*"))


async def test_unknown_suffix_is_refused(batch, tmp_path):
    """The error names the formats."""
    with pytest.raises(ValueError, match=r"out\.jsonl, out\.csv or out\.parquet"):
        await batch.export(tmp_path / "out.xls")


ROWS = [
    ("images:1", {"prompt": "a cat", "Seed": 7, "state": "mine", "input_state": "x"}),
    ("images:2", {"prompt": "b,\n", "Seed": None, "ratio": 1, "ok": True, "more": [1]}),
    ("video:3", {"ratio": 0.5, "prompt\ud800": "c\ud800", "STATE": 2**70}),
]


@pytest.fixture
async def detailed_batch(batch, monkeypatch):
    """The same tickets with columns of a table, saved files, and a submit."""
    await batch.add(ROWS)
    monkeypatch.setenv("MODELSLAB_HOST_NAME", "south")
    await batch.journal.record_file(
        "images:1", 1, path="/p/b.png", sha256="00", size=3, url="https://a/2.png"
    )
    monkeypatch.setenv("MODELSLAB_HOST_NAME", "north")
    await batch.journal.record_file(
        "images:1", 0, path="/p/a.png", sha256="11", size=2, url="https://a/1.png"
    )
    await batch.journal.record_submit("my-3", endpoint="video/text2video", payload_hash="0")
    await batch.journal.confirm("my-3", "video:3")
    return batch


async def test_json_lines_hold_files_submit_and_input(detailed_batch, tmp_path):
    """The columns of the input are in an object of their own, unchanged."""
    file = tmp_path / "out.jsonl"
    await detailed_batch.export(file)
    first, second, third = map(json.loads, file.read_text().splitlines())
    assert [
        {"n": 0, "path": "/p/a.png", "sha256": "11", "size": 2, "host": "north"},
        {"n": 1, "path": "/p/b.png", "sha256": "00", "size": 3, "host": "south"},
    ] == first["files"]
    assert ([], "", "") == (second["files"], second["track_id"], second["endpoint"])
    assert ("my-3", "video/text2video") == (third["track_id"], third["endpoint"])
    assert [row for _, row in ROWS] == [each["input"] for each in (first, second, third)]
    recorded = [each async for each in detailed_batch.outcomes()]
    assert recorded[:2] == [from_dict(first), from_dict(second)]


async def test_csv_holds_files_submit_and_input(detailed_batch, tmp_path):
    """A column whose name is taken gets a prefix, and no column is lost."""
    file = tmp_path / "out.csv"
    await detailed_batch.export(file)
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        rows = list(reader)
    assert [
        *("files", "track_id", "endpoint", "key", "file_hosts"),
        *("prompt", "Seed", "input_state", "input_input_state"),
        *("ratio", "ok", "more", "prompt?", "input_input_input_STATE"),
    ] == reader.fieldnames[9:]
    assert ["/p/a.png", "/p/b.png"] == json.loads(rows[0]["files"])
    assert ["north", "south"] == json.loads(rows[0]["file_hosts"])
    assert ["", "", "my-3"] == [row["track_id"] for row in rows]
    assert ["", "", "video/text2video"] == [row["endpoint"] for row in rows]
    assert ["a cat", "b,\n", ""] == [row["prompt"] for row in rows]
    assert ["7", "", ""] == [row["Seed"] for row in rows]
    assert ["mine", "x"] == [rows[0]["input_state"], rows[0]["input_input_state"]]
    assert ["1", "true", "[1]"] == [rows[1][name] for name in ("ratio", "ok", "more")]
    assert ["c?", str(2**70)] == [rows[2][name] for name in ("prompt?", "input_input_input_STATE")]


async def test_parquet_types_the_columns_of_the_input(detailed_batch, tmp_path):
    """Numbers and booleans keep their types. A column of several types is text."""
    file = tmp_path / "out.parquet"
    await detailed_batch.export(file)
    rows = parquet.read_table(file).to_pylist()
    assert [["/p/a.png", "/p/b.png"], [], []] == [row["files"] for row in rows]
    assert [["north", "south"], [], []] == [row["file_hosts"] for row in rows]
    assert [7, None, None] == [row["Seed"] for row in rows]
    assert [None, 1.0, 0.5] == [row["ratio"] for row in rows]
    assert [None, True, None] == [row["ok"] for row in rows]
    assert [None, "[1]", None] == [row["more"] for row in rows]
    assert [None, None, str(2**70)] == [row["input_input_input_STATE"] for row in rows]


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1, None, 2**63 - 1], [1, None, 2**63 - 1]),
        ([1, 2.5, 2**53], [1.0, 2.5, 2.0**53]),
        ([2.5, 1, 2**53 + 1], ["2.5", "1", str(2**53 + 1)]),
        ([1, 2**53 + 1, 2.5], ["1", str(2**53 + 1), "2.5"]),
        ([1, 2**64, None], ["1", str(2**64), None]),
        ([True, 1, False], ["true", "1", "false"]),
        ([None, None, None], [None, None, None]),
        (["1", 1, None], ["1", "1", None]),
    ],
)
async def test_parquet_changes_no_number(batch, tmp_path, values, stored):
    """An integer that a float cannot hold exactly makes the column text."""
    tickets = ("images:1", "images:2", "video:3")
    await batch.add([(ticket, {"n": n}) for ticket, n in zip(tickets, values, strict=True)])
    file = tmp_path / "out.parquet"
    await batch.export(file)
    assert stored == [row["n"] for row in parquet.read_table(file).to_pylist()]


async def test_recorded_outcomes_hold_files_submit_and_columns(detailed_batch, monkeypatch):
    """Each page has the details of its own tickets."""
    monkeypatch.setattr("modelslab_async.journal._PAGE_SIZE", 1)
    found = [each async for each in detailed_batch.journal.recorded_outcomes()]
    assert [row for _, row in ROWS] == [each.columns for each in found]
    assert [["/p/a.png", "/p/b.png"], [], []] == [
        [file.path for file in each.files] for each in found
    ]
    assert ["", "", "my-3"] == [each.track_id for each in found]
    assert ["", "", "video/text2video"] == [each.endpoint for each in found]


async def test_failed_export_leaves_the_old_file(batch, tmp_path):
    """It is replaced by a complete file, or not at all."""
    file = tmp_path / "out.csv"
    file.write_text("precious")
    with pytest.raises(OSError, match="missing"):
        await batch.export(tmp_path / "missing" / "out.csv")
    assert "precious" == file.read_text()
    await batch.export(file)
    assert file.read_text().startswith("ticket,state")
    assert [file] == list(tmp_path.glob("*out*"))


async def test_two_exports_to_one_file_are_both_whole(batch, tmp_path, monkeypatch):
    """The file is whole when the first call returns, and when the second one does."""
    file, write = tmp_path / "out.jsonl", exports._WRITERS["jsonl"]
    is_written, has_begun, is_read = (threading.Event() for _ in range(3))

    def write_in_turn(draft, snapshot):
        if not is_written.is_set():
            write(draft, snapshot)
            is_written.set()
            assert has_begun.wait(TIMEOUT_S)
            return
        draft.write_text("half")
        has_begun.set()
        assert is_read.wait(TIMEOUT_S)
        write(draft, snapshot)

    monkeypatch.setitem(exports._WRITERS, "jsonl", write_in_turn)
    first = asyncio.create_task(batch.export(file))
    assert await asyncio.to_thread(is_written.wait, TIMEOUT_S)
    second = asyncio.create_task(batch.export(file))
    try:
        assert 3 == await first
        assert 3 == len([json.loads(line) for line in file.read_text().splitlines()])
    finally:
        is_read.set()
        (counted,) = await asyncio.gather(second, return_exceptions=True)
    assert 3 == counted
    assert 3 == len([json.loads(line) for line in file.read_text().splitlines()])
    assert [file] == list(tmp_path.glob("*out*"))


async def test_export_removes_the_old_draft_of_a_killed_one(batch, tmp_path):
    """No other command would ever remove it."""
    file, draft = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.0123456789abcdef.draft"
    draft.write_text("half")
    os.utime(draft, (0, 0))
    await batch.export(file)
    assert [file] == list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_export_never_overwrites_its_journal(file_path, suffix):
    """The journal and the files beside it are refused, also through a link."""
    link = file_path.with_name("link")
    link.symlink_to(f"{file_path}{suffix}")
    async with Batch.open(file_path) as batch:
        await batch.add(["images:1"])
        for target in (f"{file_path}{suffix}", link):
            with pytest.raises(ValueError, match="a file of the journal"):
                await batch.export(target, file_format="csv")
        assert 1 == (await batch.report()).tickets


async def wait_for_drafts(folder, count):
    """Wait until some number of files is being written."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*draft"))) != count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_cancelled_export_stops(batch, tmp_path, monkeypatch):
    """It leaves no file behind, neither then nor later."""
    monkeypatch.setattr("modelslab_async._journal.exports.PAGE_SIZE", 1)
    await batch.add(("images", number) for number in range(100, 5000))
    run = await batch.journal.leases.begin_run(lease=60)
    claim = await batch.journal.leases.claim(run, before_run=run, limit=5000, lease=60)
    completions = [OutcomeRow(number, 0, Failed(ticket=ticket)) for number, ticket in claim.tickets]
    await batch.journal.leases.complete(run, completions)
    task = asyncio.create_task(batch.export(tmp_path / "out.jsonl"))
    await wait_for_drafts(tmp_path, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == list(tmp_path.glob("*out*"))


async def test_export_that_is_cancelled_in_its_last_page_replaces_no_file(
    batch, tmp_path, monkeypatch
):
    """When the call ends, nothing writes any more, however late the cancellation came."""
    target = tmp_path / "out.jsonl"
    target.write_text("an earlier export")
    is_writing, may_go_on, to_line = threading.Event(), threading.Event(), exports._json_line

    def held(each):
        is_writing.set()
        may_go_on.wait(TIMEOUT_S)
        return to_line(each)

    monkeypatch.setattr(exports, "_json_line", held)
    task = asyncio.create_task(batch.export(target))
    await asyncio.to_thread(is_writing.wait, TIMEOUT_S)
    for _ in range(2):
        task.cancel()
        # The task gets the cancellation in the second iteration of the event loop from here.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [target] == list(tmp_path.glob("*out*"))
    assert "an earlier export" == target.read_text()
