"""The file of ids: a table is read as a table, and what is no ticket is told, never polled."""

import csv

import click
import pytest

from modelslab_async._cli.batch.ticket_input import InputSpec, read_tickets
from modelslab_async._transport.credentials import Credentials

KEYS = Credentials.resolve("any-key", None)
LONG = 200_000
MANY = "10,y\n" * 30_000
DEEP = "[" * 200_000


@pytest.fixture
def read(tmp_path):
    """The tickets of a file of that text, and what is told of its bad lines."""

    def tickets_of(text, **said):
        path = tmp_path / "ids"
        path.write_text(text, encoding="utf-8")
        told = []
        tickets = [*map(str, read_tickets(str(path), InputSpec(**said), KEYS, told.append))]
        return tickets, [line.replace(str(path), "ids") for line in told]

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
        '{"Request ID": 7, "id": 9}\n{"id": "8"}\n',
    ],
)
def test_every_usual_form(read, text):
    """Quoted line breaks, delimiters among the words, arrays, quotes around a ticket."""
    assert (["images:7", "images:8"], []) == read(text, family="images")


def test_a_head_says_that_a_word_is_an_id(read):
    """Where a column is named, its ids need no digit; alone, one might be any word."""
    assert (["images:FjvdzGnYi"], []) == read("training,id\nx,FjvdzGnYi\n", family="images")
    tickets, told = read("FjvdzGnYi\nimages:FjvdzGnYi\n", family="images")
    assert ["images:FjvdzGnYi"] == tickets
    assert ["line 1 of ids skipped: 'FjvdzGnYi' has no digit, so it may be a word; "] == [
        line.partition("write")[0] for line in told
    ]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("prompt,result_id\na cat: sitting,7\ntwo dogs,images:8\n", "'prompt', 'result_id'"),
        ("prompt, long\tresult\na cat\t7\ntwo dogs, three\t8\n", "'prompt, long', 'result'"),
        ("7,a cat\n8,a dog\n", "'7', 'a cat'"),
    ],
)
def test_unknown_columns_are_no_guess(read, text, columns):
    """The columns that came are named, and how to choose one; nothing is taken for an id."""
    with pytest.raises(click.UsageError) as refused:
        read(text, family="images")
    assert f"it has {columns}; choose one with --column NAME" in refused.value.format_message()


def test_a_column_is_chosen_by_name_or_number(read):
    """By its name; where there are no names, by its number."""
    table = "prompt,result_id\na cat,7\ntwo dogs,images:8\n"
    assert (["images:7", "images:8"], []) == read(table, family="images", column="Result ID")
    assert (["images:7", "images:8"], []) == read("x,7\n3,8\n", family="images", column="2")
    assert (["images:7"], []) == read("my_ids\n7\n", family="images", column="my_ids")
    assert (["images:7"], []) == read("7\n", family="images", column="1")
    for column, text in (("3", "x,7\n"), ("nope", "7\n8\n"), ("0", "x,7\n")):
        with pytest.raises(click.UsageError, match=f"has no column '{column}'; it"):
            read(text, family="images", column=column)


def test_tables_without_names(read):
    """A row has one ticket, or one family and one id; what is not clear is told."""
    text = "7,images\nimages,8,x\na cat,images:9\nimages,10,11\nimages:12,images:13\nwords,only\n"
    tickets, told = read(text)
    assert ["images:7", "images:8", "images:9"] == tickets
    assert [4, 5, 6] == [int(line.split()[1]) for line in told]
    assert "it has 2 tickets and 0 ids instead of one" in told[1]


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
def test_a_bad_line_is_told_and_stops_no_other(read, text, bad, why):
    """It is told by its number, and no word of it is polled."""
    tickets, told = read(text, family="images")
    assert ["images:7", "images:8"] == tickets
    assert [f"{bad} of ids skipped"] == [line.partition(":")[0] for line in told]
    assert why in told[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('["images", 7]\n["images", 8]\n', "begins like a JSON array but is none"),
        ('[{"id": 7},', "begins like a JSON array but is none"),
        (DEEP, "it is nested too deeply"),
        ("i\0d\0\n\x007\0", "is not UTF-8 text"),
    ],
)
def test_what_is_no_such_file_is_refused(read, text, told):
    """One error that says what it looks like, not one a line."""
    with pytest.raises(click.UsageError, match=told):
        read(text, family="images")


def test_the_limit_of_csv_is_as_it_was(read):
    """Reading leaves nothing behind in the process."""
    before = csv.field_size_limit()
    read("id,x\n7,y\n", family="images")
    assert before == csv.field_size_limit()
