"""Reads the rows of a table of submissions, as UTF-8 text: JSON, CSV or lines of prompts."""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

from ... import ENDPOINTS
from ..._tables.csv_input import named_rows_from_csv
from ..._tables.json_input import (
    JsonItem,
    items_from_json_array,
    items_from_json_lines,
    object_from_pairs,
)
from ..._tables.table_errors import UnusableTable
from ..._tables.table_reader import ENCODING
from ..._tables.ticket_columns import NamedRow
from ..standard_input import STDIN, open_text, source_name
from .submission_table_spec import SubmissionTableSpec, parameter_name
from .table_format import SAMPLE_LINES, delimiter_of, find_format, first_line

ENDPOINT_COLUMN: Final = "endpoint"
PROMPT: Final = "prompt"
# Bytes that are not UTF-8 are decoded as lone surrogates, so that reading does not fail on them.
# `_checked_lines` then finds the surrogates, and names the line in its error.
_ENCODING_ERRORS: Final = "surrogateescape"
_parse_json = partial(json.loads, object_pairs_hook=object_from_pairs)


def read_rows(source: str, spec: SubmissionTableSpec) -> Iterator[NamedRow]:
    """
    Yield the rows of a file or of standard input.

    Raises:
        click.UsageError: The file looks like a table, but has none of the expected columns.
        OSError: The file cannot be read.
        UnusableTable: The file is not UTF-8 text, or is a malformed JSON array.
    """
    with (
        open_text(_ENCODING_ERRORS)
        if source == STDIN
        else Path(source).open(encoding=ENCODING, errors=_ENCODING_ERRORS)
    ) as file:
        yield from _rows(_checked_lines(file, source_name(source)), source, spec)


def _checked_lines(file: Iterable[str], name: str) -> Iterator[str]:
    """
    Yield all lines. Check each line, so that no prompt with wrong characters is sent.

    Raises:
        UnusableTable: A line is not UTF-8 text.
    """
    for number, line in enumerate(file, 1):
        try:
            is_text = b"\0" not in line.encode()
        except UnicodeEncodeError:
            is_text = False
        if not is_text:
            raise UnusableTable(
                f"line {number:,} of {name} is not UTF-8 text; save the table as CSV, JSON or "
                "text, in UTF-8; nothing was sent"
            )
        yield line


def _rows(lines: Iterator[str], source: str, spec: SubmissionTableSpec) -> Iterator[NamedRow]:
    sample = [*islice(lines, SAMPLE_LINES)]
    first = first_line(sample)
    all_lines = chain(sample, lines)
    expected = _expected_columns(spec)
    match spec.input_format or find_format(
        source, sample, lambda column: parameter_name(column) in expected
    ):
        case "json" if first.startswith("["):
            advice = "give an array of objects, or one object a line"
            name = source_name(source)
            items = items_from_json_array(all_lines, _parse_json, name=name, advice=advice)
            return map(_row_of_item, items)
        case "json":
            return map(_row_of_item, items_from_json_lines(all_lines, _parse_json))
        case "csv":
            return named_rows_from_csv(all_lines, delimiter_of(first))
        case _:
            return _rows_from_text(all_lines, spec)


def _expected_columns(spec: SubmissionTableSpec) -> set[str | None]:
    endpoint = ENDPOINTS.get(spec.endpoint or "")
    required = endpoint.required if endpoint else ()
    return {ENDPOINT_COLUMN, PROMPT, spec.key_column, *required}


def _rows_from_text(lines: Iterable[str], spec: SubmissionTableSpec) -> Iterator[NamedRow]:
    """
    Yield a row for each line that is not empty.

    The line is the prompt. If the endpoint takes no prompt, the line is the value of its only
    required parameter.
    """
    endpoint = ENDPOINTS.get(spec.endpoint or "")
    name = PROMPT
    if endpoint and PROMPT not in endpoint.parameters and len(endpoint.required) == 1:
        (name,) = endpoint.required
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            yield NamedRow(location=f"line {number}", cells={name: text})


def _row_of_item(item: JsonItem) -> NamedRow:
    match item:
        case JsonItem(value=dict() as cells):
            return NamedRow(location=item.location, cells=cells, has_types=True)
        case JsonItem(value=str() as prompt):
            return NamedRow(location=item.location, cells={PROMPT: prompt}, has_types=True)
        case _:
            problem = f"{type(item.value).__name__} is not an object with parameters"
            return NamedRow(location=item.location, problem=item.problem or problem)
