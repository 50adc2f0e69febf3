"""Files of ids: every usual format is read, and a line that is no ticket is never polled."""

import csv
import json
import math
import sys
from datetime import UTC, datetime
from decimal import Decimal

import click
import pyarrow as pa
import pytest
from pyarrow import parquet

from modelslab_async._cli.batch.ticket_input import read_tickets
from modelslab_async._tables.ticket_columns import InputSpec
from modelslab_async._transport.credentials import Credentials

KEYS = Credentials.resolve("any-key", None)
LONG = 200_000
MANY = "10,y\n" * 30_000
DEEP = "[" * 200_000


@pytest.fixture
def read(tmp_path):
    """The tickets of a file with this text, and the messages about its bad lines."""

    def tickets_of(text, **spec):
        path = tmp_path / "ids"
        path.write_text(text, encoding="utf-8")
        messages = []
        found = read_tickets(str(path), InputSpec(**spec), KEYS, messages.append)
        tickets = [str(each.ticket) for each in found]
        return tickets, [line.replace(str(path), "ids") for line in messages]

    return tickets_of


@pytest.mark.parametrize(
    "text",
    [
        'id,prompt\n7,"a cat\n13 hats, on a mat"\n8,"ok"\n',
        "a long, nice, prompt\tid\na cat\t7\ntwo dogs, and, more\t8\n",
        "id;note\n7;a, b, c\n8;d, e, f\n",
        "prompt, id\n\n a cat, 7\n,\ntwo dogs, 8\n",
        'id\n"7"\n8\n',
        "id\n7\n8\n",
        '"7"\n"images:8"\n',
        "7\n\nimages:8\n",
        '[{"ticket": "images:7"}, {"id": 8}]',
        '[\n  "images:7",\n  8\n]\n',
        '\ufeff[7, "8"]',
        '{"id": 7}\n"images:8"\n',
        '{"Request ID": 7, "other": 9}\n{"id": "8"}\n',
        "id,ID,request_id\n7,7,7\n8,,\n",
        '{"id": 7, "request_id": "7 "}\n{"id": 8, "task_id": null}\n',
    ],
)
def test_usual_formats_are_read(read, text):
    """Quoted line breaks, delimiters in cells, arrays, and quotes around a ticket are read."""
    assert (["images:7", "images:8"], []) == read(text, family="images")


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("id,request_id\n7,7\n9,10\n8,\n", "id", "request_id"),
        ("ID,id\n7,7\n9,10\n8,8\n", "ID", "id"),
        ("id,prompt,id\n7,a,7\n9,b,10\n8,c,8\n", "id", "id"),
        ("ticket,tickets\nimages:7,\nimages:9,images:10\nimages:8,\n", "ticket", "tickets"),
        ('{"id": 7}\n{"id": 9, "request_id": 10}\n{"id": 8}\n', "id", "request_id"),
        ('[{"id": 7}, {"task_id": 9, "Job ID": 10}, 8]', "task_id", "Job ID"),
    ],
)
def test_row_with_two_ids_is_reported_and_skipped(read, text, first, second):
    """No id is chosen by chance, because it may be that of another job."""
    tickets, messages = read(text, family="images")
    assert ["images:7", "images:8"] == tickets
    assert ["2", "3"][text[0] not in "{["] in messages[0]
    assert f"{first!r} and {second!r} have different values" in messages[0]
    assert len(messages) == 1


def test_key_with_two_values_is_reported(read):
    """JSON programs disagree on which one counts. In an array, the whole file is refused."""
    text = '{"id": 7, "id": 7}\n{"id": 9, "id": 10}\n{"id": 9, "a": {"b": 1, "b": 2}}\n{"id": 8}\n'
    tickets, messages = read(text, family="images")
    assert ["images:7", "images:8"] == tickets
    assert ["'id' has two values", "'b' has two values"] == [
        line.partition(": ")[2].partition(";")[0] for line in messages
    ]
    with pytest.raises(click.UsageError, match=r"in an object of .*ids, 'id' has two values"):
        read('[{"id": 7}, {"id": 9, "id": 10}]', family="images")


def test_id_among_two_is_chosen_by_the_name_of_its_column(read):
    """The message about two ids names this option."""
    table = "id,request_id\n1,7\n2,8\n"
    assert (["images:7", "images:8"], []) == read(table, family="images", column="request_id")
    _, messages = read(table, family="images")
    assert "choose one with --column NAME" in messages[0]


@pytest.mark.parametrize(
    "text",
    [
        "id,family,model_family\n7,images,\n9,images,video\n8,images,images\n",
        """{"id": 7, "api": "images"}\n{"id": 9, "family": "images", "api": "video"}
        {"id": 8, "family": "images", "endpoint": "realtime/text2img"}""",
    ],
)
def test_row_with_two_families_is_reported_and_skipped(read, text):
    """The columns may differ if the ticket or `--family` names the family."""
    tickets, messages = read(text)
    assert ["images:7", "images:8"] == tickets
    assert "have different values" in messages[0]
    assert (["images:7", "images:9", "images:8"], []) == read(text, family="images")


def test_parquet_with_two_columns_of_one_name_is_read_whole(read_columns, tmp_path):
    """Neither replaces the other. If they are ids, they must be the same."""
    columns = [pa.array(each) for each in ([7, 9, 8], ["a", "b", "c"], [7, 10, None], [1, 2, 3])]
    table = pa.Table.from_arrays(columns, names=["id", "note", "id", "note"])
    parquet.write_table(table, tmp_path / "made")
    found, messages = read_columns((tmp_path / "made").read_bytes(), family="images")
    assert [
        ("images:7", {"note": "a", "id_3": 7, "note_4": 1}),
        ("images:8", {"note": "c", "id_3": None, "note_4": 3}),
    ] == found
    assert ["row 2"] == [message.partition(" of ")[0] for message in messages]
    assert "'id' and 'id' have different values" in messages[0]


@pytest.fixture
def read_columns(tmp_path):
    """The columns of each ticket of a file with this content, and the messages."""

    def columns_of(content, **spec):
        path = tmp_path / "ids"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        messages = []
        found = read_tickets(str(path), InputSpec(**spec), KEYS, messages.append)
        return [(str(each.ticket), json.loads(each.columns or "{}")) for each in found], messages

    return columns_of


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("images:7\n", {}),
        ("id,family,prompt\n7,images,a cat\n", {"family": "images", "prompt": "a cat"}),
        ("prompt,ticket,\na,images:7,x\n", {"prompt": "a", "column_3": "x"}),
        ("ticket,a,a,A\nimages:7,1,2,3\n", {"a": "1", "a_3": "2", "A": "3"}),
        ("ticket;a;b\nimages:7;1\n", {"a": "1"}),
        ("x,images:7,\ny,images:8,\n", {"column_1": "x", "column_3": ""}),
        ("x,images,7\n", {"column_1": "x", "column_2": "images"}),
        (
            '{"ticket": "images:7", "id": 9, "seed": 1.5, "tags": ["a"], "none": null}',
            {"id": 9, "seed": 1.5, "tags": ["a"], "none": None},
        ),
        (
            '[{"ticket": "images:7", "seed": NaN, "deep": [-Infinity]}]',
            {"seed": None, "deep": [None]},
        ),
    ],
)
def test_other_columns_are_read(read_columns, text, columns):
    """All except the column of the ticket. A column without a name is named by its number."""
    found, messages = read_columns(text)
    assert (("images:7", columns), []) == (found[0], messages)


def test_parquet_is_read_with_its_columns(read_columns, tmp_path):
    """A value that JSON cannot hold becomes a text, and a missing number becomes None."""
    rows = {
        "Request ID": [7, 8, None],
        "family": ["images", "images", "images"],
        "at": [datetime(2026, 1, 2, tzinfo=UTC), None, None],
        "seed": [1.5, math.nan, 2.0],
        "raw": [b"a", b"\xff", b""],
        "price": [Decimal("1.10"), None, None],
        "tags": [["a", "b"], [], None],
    }
    parquet.write_table(pa.table(rows), tmp_path / "made")
    found, messages = read_columns((tmp_path / "made").read_bytes())
    assert [
        {
            "family": "images",
            "at": "2026-01-02T00:00:00+00:00",
            "seed": 1.5,
            "raw": "a",
            "price": "1.10",
            "tags": ["a", "b"],
        },
        {"family": "images", "at": None, "seed": None, "raw": "\\xff", "price": None, "tags": []},
    ] == [columns for _, columns in found]
    assert ["row 3"] == [message.partition(" of ")[0] for message in messages]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1_700_000_000_000_000_001, pa.timestamp("ns"), "2023-11-14T22:13:20.000000001"),
        (-1, pa.timestamp("ns"), "1969-12-31T23:59:59.999999999"),
        (1, pa.timestamp("ns", tz="+01:30"), "1970-01-01T01:30:00.000000001+01:30"),
        (1, pa.timestamp("ns", tz="UTC"), "1970-01-01T00:00:00.000000001+00:00"),
        (-(10**18), pa.timestamp("ns", tz="Europe/Berlin"), "1938-04-24T23:13:20+01:00"),
        (1_000, pa.timestamp("ns", tz="UTC"), "1970-01-01T00:00:00.000001+00:00"),
        (1, pa.time64("ns"), "00:00:00.000000001"),
        (86_400_000_000_001, pa.duration("ns"), "1 day, 0:00:00.000000001"),
        (-1, pa.duration("ns"), "-1 day, 23:59:59.999999999"),
        (2**63 - 1, pa.duration("ns"), "106751 days, 23:47:16.854775807"),
        (500_000_000, pa.duration("ns"), "0:00:00.500000"),
    ],
)
def test_time_with_nanoseconds_keeps_all_digits(read_columns, tmp_path, value, kind, text):
    """Tools write nanoseconds by default. Other cells stay as they are."""
    at = pa.array([value, None, 0], kind)
    parquet.write_table(pa.table({"id": [7, 8, 9], "at": at, "seed": [1.5] * 3}), tmp_path / "made")
    found, messages = read_columns((tmp_path / "made").read_bytes(), family="images")
    assert [] == messages
    assert [(text, 1.5), (None, 1.5)] == [(row["at"], row["seed"]) for _, row in found[:2]]
    assert "." not in found[2][1]["at"]


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([0], pa.timestamp("us", tz="Mars/Olympus")), "Mars/Olympus"),
        (pa.array([[1]], pa.list_(pa.timestamp("ns"))), "list"),
        (pa.array([[0]], pa.list_(pa.timestamp("ns"))), "list"),
        (pa.array([{"a": 0}], pa.struct([("a", pa.duration("ns"))])), "struct"),
        (pa.array([253_402_300_800_000], pa.timestamp("ms")), "timestamp"),
        (pa.array([2**63 - 1], pa.timestamp("us")), "timestamp"),
        (pa.array([2**63 - 1], pa.timestamp("us", tz="UTC")), "timestamp"),
        (pa.array([-(2**63) + 1], pa.timestamp("us")), "timestamp"),
        (pa.array([2**31 - 1], pa.date32()), "date32"),
        (pa.array([2**62], pa.duration("s")), "duration"),
        (pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers()), "string"),
    ],
    ids=[
        "zone",
        "list",
        "list of whole seconds",
        "structure",
        "year 10000",
        "latest time",
        "latest time in UTC",
        "earliest time",
        "latest date",
        "duration",
        "not UTF-8",
    ],
)
def test_column_that_cannot_be_read_is_named(read_columns, tmp_path, array, kind):
    """The error names the file and the type, and says what to do with the column."""
    parquet.write_table(pa.table({"id": [7], "bad": array}), tmp_path / "made")
    with pytest.raises(click.UsageError, match=f"column 'bad' of .*ids has .* type .*{kind}"):
        read_columns((tmp_path / "made").read_bytes(), family="images")


def test_unusable_parquet_is_refused_once(read_columns, tmp_path, monkeypatch):
    """One error says that pyarrow or a known column is missing, or that the file is damaged."""
    parquet.write_table(pa.table({"what": [1]}), tmp_path / "made")
    content = (tmp_path / "made").read_bytes()
    with pytest.raises(click.UsageError, match="no column with a known name; it has 'what'"):
        read_columns(content)
    with pytest.raises(click.UsageError, match="damaged Parquet file"):
        read_columns(content[:20])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(click.ClickException, match="pip install pyarrow if you run from a clone"):
        read_columns(content)


def test_column_name_allows_ids_without_digits(read):
    """Under a known column name an id needs no digit; alone it may be any word."""
    assert (["images:FjvdzGnYi"], []) == read("training,id\nx,FjvdzGnYi\n", family="images")
    tickets, messages = read("FjvdzGnYi\nimages:FjvdzGnYi\n", family="images")
    assert ["images:FjvdzGnYi"] == tickets
    assert ["line 1 of ids skipped: 'FjvdzGnYi' has no digit, so it may be a word; "] == [
        line.partition("write")[0] for line in messages
    ]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("prompt,result_id\na cat: sitting,7\ntwo dogs,images:8\n", "'prompt', 'result_id'"),
        ("prompt, long\tresult\na cat\t7\ntwo dogs, three\t8\n", "'prompt, long', 'result'"),
        ("7,a cat\n8,a dog\n", "'7', 'a cat'"),
    ],
)
def test_unknown_columns_are_listed_and_not_guessed(read, text, columns):
    """The message lists the columns and says how to choose one."""
    with pytest.raises(click.UsageError) as refused:
        read(text, family="images")
    assert f"it has {columns}; choose one with --column NAME" in refused.value.format_message()


def test_column_is_chosen_by_name_or_number(read):
    """A column is chosen by its name or, in a table without names, by its number."""
    table = "prompt,result_id\na cat,7\ntwo dogs,images:8\n"
    assert (["images:7", "images:8"], []) == read(table, family="images", column="Result ID")
    assert (["images:7", "images:8"], []) == read("x,7\n3,8\n", family="images", column="2")
    assert (["images:7"], []) == read("my_ids\n7\n", family="images", column="my_ids")
    assert (["images:7"], []) == read("7\n", family="images", column="1")
    for column, text in (("3", "x,7\n"), ("nope", "7\n8\n"), ("0", "x,7\n")):
        with pytest.raises(click.UsageError, match=f"has no column '{column}'; it"):
            read(text, family="images", column=column)


def test_rows_without_names_need_one_ticket(read):
    """A row needs one ticket, or one family and one id. Ambiguous rows are reported."""
    text = "7,images\nimages,8,x\na cat,images:9\nimages,10,11\nimages:12,images:13\nwords,only\n"
    tickets, messages = read(text)
    assert ["images:7", "images:8", "images:9"] == tickets
    assert [4, 5, 6] == [int(line.split()[1]) for line in messages]
    assert "it has 2 tickets and 0 ids instead of one" in messages[1]


@pytest.mark.parametrize(
    ("text", "bad", "why"),
    [
        (f"id,prompt\n7,a\n9,{'x' * LONG}\n8,b\n", "line 3", "a cell has 200,000 characters"),
        (f'id,prompt\n7,a\n9,"{MANY}"\n8,b\n', "lines 3 to 30003", "a cell has"),
        (
            'id,prompt\n7,a\n8,b\n9,"never closed\n10,c\n',
            "lines 4 to 5",
            "its quotes are malformed",
        ),
        ('id,prompt\n7,a\n9,"b"c\n8,d\n', "line 3", "quotes are malformed"),
        ("prompt,id\na,7\na cat,9,10\nb,8\n", "line 3", "it has 3 cells for 2 columns"),
        ("prompt,id\na,7\na cat\nb,8\n", "line 3", "it has no id; it has 'prompt'"),
        ("id\n7\n13 hats on a mat\n8\n", "line 3", "'13 hats on a mat' is not a ticket"),
        ("id\n7\n134000001.0\n8\n", "line 3", "'134000001.0' is not a ticket"),
        ("7\na cat: sitting\n8\n", "line 2", "'a cat: sitting' is not a ticket"),
        ("my_ids\n7\n8\n", "line 1", "'my_ids' has no digit"),
        ('7\n{"id": 9}\n8\n', "line 2", "is not a ticket"),
        ('{"id": 7}\n[9]\n{"id": 8}\n', "line 2", "list is not an object with an id"),
        ('{"id": 7}\nnonsense9\n{"id": 8}\n', "line 2", "is not a line of JSON"),
        ('{"id": 7}\n{"name": 9}\n{"id": 8}\n', "line 2", "it has no id; it has 'name'"),
        ('{"id": 7}\n{"id": {"a": 9}}\n{"id": 8}\n', "line 2", "its id is of type dict"),
        (f'{{"id": 7}}\n{{"id": {DEEP}\n{{"id": 8}}\n', "line 2", "it is nested too deeply"),
        ('[7, "8", true]', "item 3", "is not an object with an id"),
    ],
)
def test_bad_line_is_reported_and_skipped(read, text, bad, why):
    """A bad line is reported by its number, and no part of it is polled."""
    tickets, messages = read(text, family="images")
    assert ["images:7", "images:8"] == tickets
    assert [f"{bad} of ids skipped"] == [line.partition(":")[0] for line in messages]
    assert why in messages[0]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ('["images", 7]\n["images", 8]\n', "begins like a JSON array but is none"),
        ('[{"id": 7},', "begins like a JSON array but is none"),
        (DEEP, "it is nested too deeply"),
        ("i\0d\0\n\x007\0", "is not UTF-8 text"),
    ],
)
def test_unreadable_format_is_refused_once(read, text, messages):
    """A file in no known format gives one error, and not one a line."""
    with pytest.raises(click.UsageError, match=messages):
        read(text, family="images")


def test_csv_field_limit_is_restored(read):
    """Reading does not change the csv module's limit for the rest of the process."""
    before = csv.field_size_limit()
    read("id,x\n7,y\n", family="images")
    assert before == csv.field_size_limit()
