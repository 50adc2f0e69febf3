"""A wrong argument of a batch or a journal is refused at once, with what is expected instead."""

import re
from contextlib import aclosing

import pytest

from modelslab_async import Batch, Downloads, JournalError, Success, Ticket
from modelslab_async._journal import submits
from modelslab_async.journal import Journal, PendingSubmit

# A value that a caller may pass for another argument by mistake.
KEY = "a-key-for-tests"


async def read(results):
    async with aclosing(results):
        return [each async for each in results]


async def opened(cls, path, **arguments):
    async with cls.open(path, **arguments):
        pass


async def awaited():
    pass


@pytest.mark.parametrize(
    ("cls", "arguments", "words"),
    [
        (
            Batch,
            {"client": KEY},
            r"client is a Client, such as Client\('my key'\), or None, got .*str",
        ),
        (Batch, {"lease": "60"}, "lease is a finite number of seconds above 0, got .* type str"),
        (Batch, {"clock": 5}, "clock is a function, got .* type int"),
        (Batch, {"clock": awaited}, "clock is called and not awaited"),
        (Journal, {"clock": None}, "clock is a function, got None"),
        (Journal, {"lock_timeout": "5"}, "lock_timeout is a number of seconds of at least 0, got"),
    ],
)
async def test_open_refuses_wrong_types(path, cls, arguments, words):
    """Otherwise the first call that needs the argument would fail."""
    with pytest.raises(TypeError, match=f"^{words}") as caught:
        await opened(cls, path, **arguments)
    assert KEY not in str(caught.value)


async def test_open_refuses_a_lease_without_end(path):
    """After a kill, such a lease would keep the journal from every other process."""
    for value in (float("inf"), 0, float("nan")):
        with pytest.raises(ValueError, match=r"^lease is a finite number of seconds above 0"):
            await opened(Batch, path, lease=value)
    async with Journal.open(path) as journal:
        assert await journal.leases.begin_run(lease=60.0)


FILE = {"output_index": 0, "path": "a.png", "sha256": "00", "size": 1, "url": "https://a/1.png"}
SUBMIT = {"track_id": "7", "endpoint": "realtime/text2img", "payload_hash": "ab"}
SUCCESS = Success(ticket=Ticket("images", 1), output=(), raw={"status": "success"})
REQUESTS = [("realtime/text2img", {"prompt": "a cat"})]
FOLDER = "folder is the path of a folder or None, got"
FORMAT = "file_format is 'jsonl', 'csv', 'parquet' or None, got"
PATH = "path is the path of a file, as a text or a path object, got"
REQUIRED = r"requests is an iterable of submissions, such as \[.*\], got"
TICKETS = r"tickets is an iterable of tickets, such as \['images:123'\], got"
TO_SAVE = r"downloads is a Downloads, such as Downloads\(client, to='out'\), got"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda batch: read(batch.save(KEY)), TypeError, f"{TO_SAVE} .* str"),
        (lambda batch: read(batch.save(None)), TypeError, f"{TO_SAVE} None"),
        (lambda batch: read(batch.save(Downloads)), TypeError, f"{TO_SAVE} .* type"),
        (
            lambda batch: read(batch.generate_many(REQUESTS, downloads=KEY)),
            TypeError,
            f"{TO_SAVE} .* str",
        ),
        (lambda batch: read(batch.generate_many(None)), TypeError, f"{REQUIRED} None"),
        (lambda batch: batch.add(None), TypeError, f"{TICKETS} None"),
        (lambda batch: batch.journal.add(5), TypeError, f"{TICKETS} .* int"),
        (lambda batch: batch.journal.add(KEY), ValueError, "many tickets come in a list"),
        (lambda batch: batch.journal.queue_saves(5), TypeError, f"{TICKETS} .* int"),
        (lambda batch: batch.journal.requeue_saves(KEY), ValueError, "many tickets come in a list"),
        (lambda batch: batch.verify(5), TypeError, f"{FOLDER} .* int"),
        (lambda batch: batch.verify(b"x"), TypeError, f"{FOLDER} .* bytes"),
        (lambda batch: batch.verify(""), ValueError, f"{FOLDER} an empty text"),
        (lambda batch: batch.export("x", file_format=KEY), ValueError, f"{FORMAT} another text"),
        (lambda batch: batch.export("x.csv", file_format=""), ValueError, f"{FORMAT} another text"),
        (lambda batch: batch.export("x", file_format=["csv"]), TypeError, f"{FORMAT} .* list"),
        (lambda batch: batch.export(5), TypeError, f"{PATH} .* int"),
        (lambda batch: batch.export(b"x.csv"), TypeError, f"{PATH} .* bytes"),
        (lambda batch: batch.export("", file_format="csv"), ValueError, f"{PATH} an empty text"),
    ],
)
async def test_method_of_batch_refuses_wrong_argument(
    a_client, emulator, path, *, call, error, words
):
    """It sends nothing and shows no value that may be the key."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(error, match=f"^{words}") as caught:
            await call(batch)
        assert 0 == (await batch.report()).tickets
    assert KEY not in str(caught.value)
    assert [] == emulator.submits


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"output_index": "0"}, "output_index is a number from 0 to 2147483647, a whole one, got"),
        ({"path": b"a.png"}, f"{PATH} .* bytes"),
        ({"path": 5}, f"{PATH} .* int"),
        ({"sha256": None}, "sha256 is a text, got None"),
        ({"size": "1"}, "size is a number of bytes from 0 to .*, a whole one, got"),
        ({"url": None}, "url is a text, got None"),
        ({"is_length_verified": "no"}, "is_length_verified is True or False, got"),
    ],
)
async def test_file_with_wrong_argument_is_not_recorded(path, wrong, words):
    """Otherwise the record could make later reads of the journal fail."""
    async with Journal.open(path) as journal:
        await journal.add(["images:1"])
        with pytest.raises(TypeError, match=f"^{words}"):
            await journal.record_file("images:1", **FILE | wrong)
        assert [] == await journal.files("images:1")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"output_index": 2**31}, "output_index is a number from 0 to 2147483647, got 2147483648"),
        ({"size": 2**63}, "size is a number of bytes from 0 to 9223372036854775807, got"),
    ],
)
async def test_file_with_number_too_large_for_its_column_is_not_recorded(path, wrong, words):
    """Both stores take the same numbers, and the error says which."""
    async with Journal.open(path) as journal:
        await journal.add(["images:1"])
        with pytest.raises(ValueError, match=f"^{words}"):
            await journal.record_file("images:1", **FILE | wrong)
        assert [] == await journal.files("images:1")


@pytest.mark.parametrize(
    ("run_id", "error", "words"),
    [
        (2**63, ValueError, "run_id is a number from 0 to 9223372036854775807 or None, got"),
        ("1", TypeError, "run_id is a number from 0 .*, a whole one, got .* str"),
    ],
)
async def test_submit_of_a_run_id_too_large_for_its_column_is_not_recorded(
    path, run_id, error, words
):
    """Both stores take the same numbers, and the error says which."""
    async with Journal.open(path) as journal:
        with pytest.raises(error, match=f"^{words}"):
            await journal.record_submit(**SUBMIT, run_id=run_id)
        assert [] == await journal.uncertain()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"track_id": None}, "track_id is a text, got None"),
        ({"track_id": 7}, "track_id is a text, got a value of type int"),
        ({"endpoint": None}, "endpoint is a text, got None"),
        ({"payload_hash": None}, "payload_hash is a text, got None"),
        ({"key": 5}, "key is a text or None, got a value of type int"),
        ({"columns": 5}, "columns is a mapping .*, or None, got a value of type int"),
    ],
)
async def test_submit_with_wrong_argument_is_not_recorded(path, wrong, words):
    """The error does not say that the submit is recorded already."""
    async with Journal.open(path) as journal:
        with pytest.raises(TypeError, match=f"^{words}"):
            await journal.record_submit(**SUBMIT | wrong)
        assert [] == await journal.uncertain()


async def test_row_that_a_store_refuses_is_no_duplicate(path):
    """Only a track_id or a key that is used already makes a submit a duplicate."""
    submit = PendingSubmit(**SUBMIT | {"endpoint": None}, recorded_at=0.0)
    async with Journal.open(path) as journal:
        with pytest.raises(JournalError) as caught:
            await journal._store.write(submits.record_submit, submit, None)
        assert re.search("(?i)not.null", str(caught.value))


async def test_saves_are_queued_for_tickets_in_any_form(path):
    """As in the other methods of a journal, a ticket may be a text."""
    async with Journal.open(path) as journal:
        await journal.record_submit(**SUBMIT)
        await journal.confirm("7", "images:1", result=SUCCESS)
        assert 1 == await journal.queue_saves(["images:1"])
        await journal.requeue_saves(["images:1"])
        assert 1 == (await journal.report()).save_pending
