"""Shards without a cluster: their names, their parts, and what a second call does."""

import asyncio
import copy
import json
import os
import pickle
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from modelslab_async import (
    AuthenticationError,
    ModelsLabError,
    Success,
    Ticket,
    UnreadableReply,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._journal.queries import RecordedOutcome
from modelslab_async._polling.status_client import UnknownFamily
from modelslab_async._shards.cluster_fetch import ClusterFetch, ClusterLost
from modelslab_async._shards.fetch_report import FetchReport, ShardFailure, ShardsFailed
from modelslab_async._shards.input_files import find_inputs, locate
from modelslab_async._shards.poll_limits import PollLimits, locate_account
from modelslab_async._shards.shard_output import PartCounts, write_part
from modelslab_async._shards.shard_run import finish_shard
from modelslab_async._shards.split_file import Shard, input_spec, read_shard, split_file
from modelslab_async._tables.table_errors import UnusableTable
from modelslab_async._tables.ticket_columns import InputSpec
from modelslab_async._transport.credentials import MissingApiKey
from modelslab_async.emulator import ScriptedReply, run_server

from .held_emulator import HeldEmulator

KEY = "a-key-for-these-tests"


class ThisProcess:
    """A cluster of threads. It calls what a test puts before a function."""

    def __init__(self, before=lambda _function, *_arguments: None):
        self.before = before
        self.called = []

    async def call(self, function, /, *arguments):
        self.called.append(function.__name__)
        self.before(function, *arguments)
        return await asyncio.to_thread(function, *arguments)

    async def check(self):
        pass

    async def capacity(self):
        return 2


@pytest.fixture
async def emulator(monkeypatch):
    """The emulator, at the address that clients take from the environment."""
    held = HeldEmulator()
    async with run_server(held) as url:
        monkeypatch.setenv("MODELSLAB_BASE_URL", url)
        monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
        yield held.emulator


@pytest.fixture
def write(tmp_path):
    """Write a table of ids, and return its path."""

    def write_table(name, ids, header="id,prompt", cell="a cat"):
        path = tmp_path / "ids" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + "\n" + "".join(f"{each},{cell}\n" for each in ids))
        return path

    return write_table


def run(folder, pattern="ids/*.csv", *, size=2, cluster=None, family="images"):
    """Fetch the tables of a folder into its folder `out`."""
    queue = ClusterFetch(str(folder / "out"), size, input_spec(family, None), PollLimits())
    return queue.run(cluster or ThisProcess(), str(folder / pattern), None)


def rows(folder):
    """The rows of all parts."""
    return parquet.read_table(folder / "out").to_pylist()


def parts(folder):
    return sorted(path.name for path in (folder / "out").iterdir())


def add_jobs(emulator, ids):
    for each in ids:
        emulator.add_job(f"images:{each}")


async def test_second_call_keeps_complete_parts(emulator, write, tmp_path):
    """It polls nothing, reports the same outcomes, and leaves no other file behind."""
    add_jobs(emulator, range(1, 6))
    write("a.csv", range(1, 6))
    cluster = ThisProcess()
    first = await run(tmp_path, cluster=cluster)
    assert ["find_inputs", "split_file", *["finish_shard"] * 3] == cluster.called
    assert (5, 3, 0) == (first.success, first.written, first.kept)
    assert [f"images:{each}" for each in range(1, 6)] == [row["ticket"] for row in rows(tmp_path)]
    assert {("success", "a cat", 1)} == {
        (row["state"], row["prompt"], row["polls"]) for row in rows(tmp_path)
    }
    before = emulator.request_count
    second = await run(tmp_path)
    assert (5, 0, 3) == (second.success, second.written, second.kept)
    assert before == emulator.request_count
    assert 3 == len(parts(tmp_path))


async def test_other_files_rename_no_part(emulator, write, tmp_path):
    """A part belongs to its file: one that is listed before it moves no ticket to another part."""
    add_jobs(emulator, range(1, 6))
    write("b.csv", (1, 2, 3))
    await run(tmp_path)
    before = parts(tmp_path)
    write("a.csv", (4, 5))
    report = await run(tmp_path)
    assert (1, 2) == (report.written, report.kept)
    assert set(before) < set(parts(tmp_path))
    assert 5 == len(rows(tmp_path))


async def test_changed_file_is_refused(emulator, write, tmp_path):
    """Its old parts would stand beside the new ones. The other files are fetched."""
    add_jobs(emulator, range(1, 6))
    write("a.csv", (1, 2, 3))
    await run(tmp_path)
    write("a.csv", (2, 3, 4))
    write("b.csv", (5,))
    with pytest.raises(ModelsLabError, match=r"a\.csv is not what it was") as failed:
        await run(tmp_path)
    (failure,) = failed.value.failures
    assert str(tmp_path / "ids" / "a.csv") == failure.path
    assert failure.error is failed.value.__cause__
    assert 1 == failed.value.report.success
    assert ["1", "2", "3", "5"] == [row["ticket"].partition(":")[2] for row in rows(tmp_path)]


async def test_file_read_in_another_way_is_refused(emulator, write, tmp_path):
    """With another family, the same ids are other tickets."""
    add_jobs(emulator, (1,))
    write("a.csv", (1,))
    await run(tmp_path)
    with pytest.raises(ModelsLabError, match="read in another way"):
        await run(tmp_path, family="video")


async def test_parts_of_another_size_are_refused(emulator, write, tmp_path):
    """Nothing is polled, and the error names both sizes."""
    add_jobs(emulator, (1, 2))
    write("a.csv", (1, 2))
    await run(tmp_path)
    before = emulator.request_count
    with pytest.raises(ValueError, match=r"shards of 2 tickets, got shard=3"):
        await run(tmp_path, size=3)
    assert before == emulator.request_count


async def test_unresolved_ticket_is_polled_again(emulator, write, tmp_path):
    """The part is replaced by one with its outcome. What had ended is not polled again."""
    add_jobs(emulator, (1, 2))
    emulator.script("images:2", [ScriptedReply(403, b"{}")] + [None] * 2)
    write("a.csv", (1, 2))
    first = await run(tmp_path)
    assert (1, 1) == (first.success, first.unresolved)
    (before,) = parts(tmp_path)
    second = await run(tmp_path)
    assert (2, 0, 1, 0) == (second.success, second.unresolved, second.written, second.kept)
    assert [before] == parts(tmp_path)
    assert [("images:1", "success"), ("images:2", "success")] == [
        (row["ticket"], row["state"]) for row in rows(tmp_path)
    ]
    assert 1 == emulator.polls["images:1"]


async def test_refused_key_stops_and_writes_no_part(emulator, write, tmp_path):
    """The other shards would be refused, too. The error is that of the service."""
    write("a.csv", range(1, 100))
    emulator.script("images:1", [ScriptedReply(401, b"{}")])
    emulator.script("images:3", [ScriptedReply(401, b"{}")])
    cluster = ThisProcess()
    with pytest.raises(AuthenticationError) as refused:
        await run(tmp_path, cluster=cluster)
    assert "call it again" in refused.value.__notes__[0]
    assert KEY not in str(refused.value)
    assert 2 >= cluster.called.count("finish_shard")
    assert not list((tmp_path / "out").glob("part-*"))


@pytest.mark.usefixtures("emulator")
async def test_missing_key_names_the_variable(write, tmp_path, monkeypatch):
    """The advice is for the workers, since no key is given to the call."""
    write("a.csv", (1,))
    monkeypatch.delenv("MODELSLAB_API_KEY")
    with pytest.raises(ValueError, match="set MODELSLAB_API_KEY for the workers"):
        await run(tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no number")])
async def test_failure_of_one_shard_spares_the_others(emulator, write, tmp_path, error):
    """It is told once the others are done, and the next call does it."""
    add_jobs(emulator, range(1, 7))
    write("a.csv", range(1, 7))

    def fail(function, *arguments):
        if function is finish_shard and arguments[0].part.endswith("01.parquet"):
            raise error

    with pytest.raises(ModelsLabError, match=f"1 parts or files .*{error.args[-1]}") as failed:
        await run(tmp_path, cluster=ThisProcess(fail))
    assert 4 == failed.value.report.success
    assert [error] == [failure.error for failure in failed.value.failures]
    report = await run(tmp_path)
    assert (6, 1, 2) == (report.success, report.written, report.kept)
    assert 6 == len({row["ticket"] for row in rows(tmp_path)}) == len(rows(tmp_path))


async def test_table_that_cannot_be_read_spares_the_others(emulator, write, tmp_path):
    """The error names its file. A table with nanoseconds is read."""
    add_jobs(emulator, range(1, 5))
    write("c.csv", (3, 4))
    for name, kind in ("a", pa.timestamp("us", tz="Mars/Olympus")), ("b", pa.timestamp("ns")):
        table = pa.table({"id": [1], "at": pa.array([1], kind)})
        parquet.write_table(table, tmp_path / "ids" / f"{name}.parquet")
    with pytest.raises(ShardsFailed, match="column 'at'") as failed:
        await run(tmp_path, "ids/*")
    assert [str(tmp_path / "ids" / "a.parquet")] == [each.path for each in failed.value.failures]
    assert 3 == failed.value.report.success


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("MODELSLAB_API_KEY", "one line of ASCII characters"),
        ("MODELSLAB_BASE_URL", "MODELSLAB_BASE_URL is a URL"),
    ],
)
async def test_wrong_setting_of_the_workers_stops(write, tmp_path, monkeypatch, variable, message):
    """All other shards would end in the same way, so no more are begun."""
    for name in "abcdef":
        write(f"{name}.csv", range(1, 7))
    monkeypatch.setenv(variable, "two words")
    cluster = ThisProcess()
    with pytest.raises(ValueError, match=message) as stopped:
        await run(tmp_path, cluster=cluster)
    assert "fetch stopped after 0 parts" in stopped.value.__notes__[0]
    assert len(cluster.called) < 6


@pytest.mark.usefixtures("emulator")
async def test_account_with_other_limits_stops(write, tmp_path):
    """The other clients of the account are still open, so each shard would be refused."""
    write("a.csv", range(1, 30))
    path = locate_account(tmp_path / "account.db")
    cluster = ThisProcess()
    limits = PollLimits(rate=9, account=path)
    async with PollLimits(rate=8, account=path).make_client(print):
        queue = ClusterFetch(str(tmp_path / "out"), 2, input_spec("images", None), limits)
        with pytest.raises(ValueError, match="give the same limits everywhere") as stopped:
            await queue.run(cluster, str(tmp_path / "ids/*"), None)
    assert "fetch stopped after 0 parts" in stopped.value.__notes__[0]
    assert 2 >= cluster.called.count("finish_shard")


@pytest.mark.usefixtures("emulator")
async def test_lost_cluster_stops(write, tmp_path):
    """What is written is kept."""
    write("a.csv", range(1, 7))

    def lose(function, *_arguments):
        if function is finish_shard:
            raise ClusterLost("the scheduler is gone")

    with pytest.raises(ConnectionError, match="the scheduler is gone"):
        await run(tmp_path, cluster=ThisProcess(lose))


async def test_rows_without_ticket_are_counted(emulator, write, tmp_path):
    """Their first problems are in the report, in the words of Python arguments."""
    add_jobs(emulator, (1,))
    write("a.csv", ["1", *["not an id"] * 30])
    report = await run(tmp_path)
    assert (1, 30, 20) == (report.success, report.skipped, len(report.problems))
    assert report.problems[0].startswith(f"line 3 of {tmp_path / 'ids' / 'a.csv'} skipped: ")
    write("b.csv", ["b"], header="what,prompt")
    with pytest.raises(ModelsLabError, match="choose one with column=NAME"):
        await run(tmp_path)


async def test_ticket_that_stands_twice_in_a_shard_has_one_row(emulator, write, tmp_path):
    """The first row counts, as in a batch."""
    add_jobs(emulator, (1, 2))
    write("a.csv", ("1,a dog\n1", 2))
    await run(tmp_path)
    assert [("images:1", "a dog"), ("images:2", "a cat")] == [
        (row["ticket"], row["prompt"]) for row in rows(tmp_path)
    ]


async def test_key_in_a_table_is_redacted(emulator, write, tmp_path):
    """A table of requests may hold the key that they were sent with."""
    add_jobs(emulator, (1,))
    write("a.csv", (1,), header="id,key", cell=KEY)
    await run(tmp_path)
    assert ["[key]"] == [row["input_key"] for row in rows(tmp_path)]


@pytest.mark.usefixtures("emulator")
async def test_shard_of_a_killed_worker_holds_no_key(write, tmp_path):
    """The file of the shard is readable for every user of the shared folder."""
    write("a.csv", (1,), header="id,key", cell=KEY)

    def die(function, *_arguments):
        if function is finish_shard:
            raise MemoryError

    with pytest.raises(ShardsFailed):
        await run(tmp_path, cluster=ThisProcess(die))
    (shard,) = (tmp_path / "out").iterdir()
    assert '{"key":"[key]"}' in shard.read_text()
    assert KEY not in shard.read_text()


@pytest.mark.parametrize("family", [None, "images"])
async def test_row_whose_id_is_the_key_is_skipped_alone(emulator, write, tmp_path, family):
    """The report says so without the key, and the other rows are polled."""
    add_jobs(emulator, (1,))
    write("a.csv", (KEY, "images:1"))
    report = await run(tmp_path, family=family)
    assert (1, 1) == (report.success, report.skipped)
    assert "[key] stands for your API key" in report.problems[0]
    assert KEY not in str(report)


@pytest.mark.usefixtures("emulator")
async def test_table_that_begins_with_the_key_is_named_without_it(write, tmp_path):
    """The error lists the columns of the table, and the first of them is the key."""
    write("a.csv", (1,), header=f"{KEY},prompt")
    with pytest.raises(ShardsFailed) as caught:
        await run(tmp_path)
    (failure,) = caught.value.failures
    assert "[key]" in str(failure.error)
    assert KEY not in f"{caught.value} {failure.error} {failure.error.__context__}"


async def test_part_that_cannot_be_written_leaves_no_file(emulator, write, tmp_path, monkeypatch):
    """A reader of the folder meets no half of a part, and the next call writes it."""
    add_jobs(emulator, (1, 2))
    write("a.csv", (1, 2))

    def fail(draft, *_arguments):
        draft.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("modelslab_async._shards.shard_output.write_parquet", fail)
        with pytest.raises(ModelsLabError, match="No space left"):
            await run(tmp_path)
    assert [".shard"] == [Path(name).suffix for name in parts(tmp_path)]
    assert 1 == (await run(tmp_path)).written
    assert 2 == len(rows(tmp_path))


async def test_damaged_part_is_named(emulator, write, tmp_path):
    """It is not taken for a complete one, and not replaced."""
    add_jobs(emulator, (1,))
    write("a.csv", (1,))
    await run(tmp_path)
    (name,) = parts(tmp_path)
    (tmp_path / "out" / name).write_bytes(b"PAR1")
    with pytest.raises(ModelsLabError, match=rf"{name} is damaged .*delete it"):
        await run(tmp_path)


def test_file_that_grows_while_it_is_read_is_refused(write, tmp_path, monkeypatch):
    """Its parts would be of neither the old nor the new content."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    path = write("a.csv", (1, 2, 3))
    (file,) = find_inputs(str(path), str(tmp_path / "out"), 2)

    def grow(*_arguments):
        with path.open("a") as table:
            table.write("4,a dog\n")

    monkeypatch.setattr("modelslab_async._shards.split_file._add", grow)
    with pytest.raises(UnusableTable, match="changed while it was read"):
        split_file(file, str(tmp_path / "out"), 3, InputSpec(family="images"))


def test_shard_that_is_not_whole_is_refused(tmp_path):
    """Fewer tickets than the split counted would be lost."""
    path = tmp_path / "shard"
    path.write_text("images:1\t\nimages:2\t{}\n")
    assert 2 == len(read_shard(Shard(path=str(path), part="", size=2)))
    with pytest.raises(UnusableTable, match="is not whole"):
        read_shard(Shard(path=str(path), part="", size=3))


def test_finished_shard_is_not_done_again(tmp_path):
    """Another worker may have done it, and removed its file."""
    part = tmp_path / "part"
    table = pa.table({"ticket": ["images:1"]})
    metadata = {"modelslab_async": json.dumps({"success": 1})}
    parquet.write_table(table.replace_schema_metadata(metadata), part)
    shard = Shard(path=str(tmp_path / "gone"), part=str(part), size=1)
    assert PartCounts(success=1) == finish_shard(shard, PollLimits())


def test_shard_that_was_polled_elsewhere_is_no_failure(tmp_path):
    """The other worker left a ticket unresolved, and has removed the file of the shard."""
    part = tmp_path / "part"
    table = pa.table({"ticket": ["images:1"]})
    metadata = {"modelslab_async": json.dumps({"unresolved": 1})}
    parquet.write_table(table.replace_schema_metadata(metadata), part)
    shard = Shard(path=str(tmp_path / "gone"), part=str(part), size=1)
    assert PartCounts(unresolved=1) == finish_shard(shard, PollLimits())
    part.unlink()
    with pytest.raises(FileNotFoundError):
        finish_shard(shard, PollLimits())


def test_late_worker_keeps_the_outcomes_of_another(tmp_path, monkeypatch):
    """It began first, waited in vain, and writes after the worker that had all outcomes."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    ticket = Ticket("images", "1")
    path, part = tmp_path / "shard", tmp_path / "part"
    path.write_text("images:1\t\n")

    def recorded(outcome):
        return RecordedOutcome(outcome=outcome, polls=1, added_at=1.0, completed_at=2.0, columns={})

    async def poll_in_vain(_columns, _limits):
        success = Success(ticket=ticket, output=("https://a",), raw={"status": "success"})
        write_part(part, [{}], [recorded(success)])
        late = WaitTimeout("too late", ticket=ticket)
        return {ticket: recorded(Unresolved(ticket=ticket, cause=late))}

    monkeypatch.setattr("modelslab_async._shards.shard_run._poll", poll_in_vain)
    counts = finish_shard(Shard(path=str(path), part=str(part), size=1), PollLimits())
    assert PartCounts(success=1) == counts
    assert ["success"] == [row["state"] for row in parquet.read_table(part).to_pylist()]


def test_hidden_files_of_killed_processes_are_removed(write, tmp_path):
    """Only after a day: younger ones may be in use."""
    path, folder = write("a.csv", (1,)), tmp_path / "out"
    folder.mkdir()
    old, young = folder / ".part-a.draft", folder / ".part-b.shard"
    other = folder / ".other.draft"
    for each in (old, young, other):
        each.write_text("")
    for each in (old, other):
        os.utime(each, (0, 0))
    find_inputs(str(path), str(folder), 2)
    assert [other.name, young.name] == sorted(each.name for each in folder.iterdir())


def test_shards_that_are_queued_for_weeks_outlast_another_fetch(write, tmp_path, monkeypatch):
    """It reads another table into the same folder, and removes only what is older."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    folder, day = tmp_path / "out", 86_400.0
    (file,) = find_inputs(str(write("a.csv", (1, 2, 3))), str(folder), 1)
    split = split_file(file, str(folder), 1, input_spec("images", None))
    for shard, days in zip(split.shards, (2, 29, 31), strict=True):
        os.utime(shard.path, (time.time() - days * day,) * 2)
    find_inputs(str(write("b.csv", (4,))), str(folder), 1)
    assert [1, 1] == [len(read_shard(shard)) for shard in split.shards[:2]]
    assert not Path(split.shards[2].path).exists()


def test_shard_that_another_worker_has_finished_is_removed(tmp_path):
    """Its part is there, so nothing needs the tickets any more."""
    ticket = Ticket("images", "1")
    path, part = tmp_path / "shard", tmp_path / "part"
    path.write_text("images:1\t\n")
    success = Success(ticket=ticket, output=("https://a",), raw={"status": "success"})
    row = RecordedOutcome(outcome=success, polls=1, added_at=1.0, completed_at=2.0, columns={})
    write_part(part, [{}], [row])
    counts = finish_shard(Shard(path=str(path), part=str(part), size=1), PollLimits())
    assert PartCounts(success=1) == counts
    assert not path.exists()


def test_parts_are_no_inputs(write, tmp_path):
    """A pattern that reaches the folder of the parts does not take them for tables."""
    path = write("sub/a.csv", (1,))
    shutil.copy(path, path.with_name("b c.csv"))
    folder = tmp_path / "ids" / "out"
    folder.mkdir()
    shutil.copy(path, folder / "c.csv")
    inputs = find_inputs(str(tmp_path / "ids" / "**" / "*.csv"), str(folder), 2)
    assert ["a.csv", "b c.csv"] == [Path(each.path).name for each in inputs]
    labels = [each.label for each in inputs]
    assert labels[0].startswith("sub_a.csv-")
    assert labels[1].startswith("sub_b_c.csv-")


def test_pattern_without_file_is_an_error(tmp_path):
    """A worker that does not see the storage says so, and nothing looks complete."""
    with pytest.raises(ValueError, match="there is no file"):
        find_inputs(str(tmp_path / "*.csv"), str(tmp_path / "out"), 2)


def test_address_of_a_bucket_is_refused():
    """Only a file system has the renames that a part needs."""
    with pytest.raises(ValueError, match="to is a path that all workers can open"):
        locate("to", "s3://bucket/out")


def test_unknown_family_is_refused():
    """All rows would be skipped. The error names what may be meant."""
    with pytest.raises(ValueError, match="unknown family 'image'; did you mean 'images'"):
        input_spec("image", None)


def test_rate_is_shared(tmp_path):
    """Each of several shards gets a part of it. An account shares it by itself."""
    assert 25 == PollLimits(rate=100).share(4).rate
    assert None is PollLimits().share(4).rate
    path = locate_account(tmp_path / "account.db")
    assert 100 == PollLimits(rate=100, account=path).share(4).rate


async def test_account_in_a_file_is_opened(tmp_path, monkeypatch):
    """The worker opens it by its absolute path."""
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    path = locate_account("account.db")
    async with PollLimits(rate=9, account=path, queue=7).make_client(print):
        assert (tmp_path / "account.db").exists()


@pytest.mark.parametrize("account", ["", Path(":memory:")])
def test_account_that_names_no_file_is_refused(account):
    """Each worker would make an account of its own there, or none."""
    with pytest.raises(ValueError, match="path of an account names a file"):
        locate_account(account)


def test_password_does_not_travel():
    """An address with one is refused, and the message does not show it."""
    assert None is locate_account(None)
    assert "postgresql://me@db/app" == locate_account("postgresql://me@db/app")
    with pytest.raises(ValueError, match="PGPASSWORD") as refused:
        locate_account("postgresql://me:hunter2@db/app")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "error",
    [
        MissingApiKey("a client needs a key", "standard"),
        AuthenticationError("refused", status_code=401),
        UnreadableReply("what"),
        UnusableTable("damaged"),
        UnknownFamily("unknown family 'no'", family="no"),
        ShardsFailed(
            "1 of 3 failed",
            failures=(ShardFailure(path="a.parquet", error=KeyError("a")),),
            report=FetchReport(written=2),
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled_and_copied(error):
    """A cluster carries them from one process to another."""
    for copied in pickle.loads(pickle.dumps(error)), copy.copy(error):
        assert type(error) is type(copied)
        assert (repr(error), repr(vars(error))) == (repr(copied), repr(vars(copied)))
