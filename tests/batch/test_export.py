"""An export holds every outcome in a format of other programs, or there is no file."""

import asyncio
import csv
import json
import sys
import time
from datetime import UTC, datetime

import pytest
from pyarrow import parquet

from modelslab_async import Batch, Failed, Success, Unresolved, WaitTimeout, from_dict
from modelslab_async._journal.tickets import OutcomeRow

BODY = {"status": "success", "output": ["https://a/1.png", 'b,"c"\n'], "message": "é"}
NOW = 1_800_000_000.0


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


async def wait_for_drafts(folder, count):
    """Wait until some number of files is being written."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*draft"))) != count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_cancelled_export_stops(batch, tmp_path, monkeypatch):
    """It leaves no file behind, neither then nor later."""
    monkeypatch.setattr("modelslab_async._journal.exports._PAGE_SIZE", 1)
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
    await wait_for_drafts(tmp_path, 0)
    assert [] == list(tmp_path.glob("*out*"))
