"""Reads submissions from a table or from lines of prompts. A bad row is reported and skipped."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, TypeAlias

import click

from ... import ENDPOINTS, Endpoint, Submission
from ..._tables.json_input import parse_json
from ..._tables.table_errors import UnusableTable
from ..._tables.ticket_columns import NamedRow, format_names, shorten
from ..endpoint_parameter_options import find_endpoint, parse_file, parse_value
from ..standard_input import source_name, unreadable_source
from .row_keys import RowKeys, SubmissionRow, content_of
from .submission_table_rows import ENDPOINT_COLUMN, read_rows
from .submission_table_spec import SubmissionTableSpec, parameter_name

RowCheck: TypeAlias = Callable[[str, Mapping[str, Any], str | None, Mapping[str, Any]], object]
_KEY_COLUMN: Final = "key"


def read_submissions(
    source: str,
    spec: SubmissionTableSpec,
    check: RowCheck,
    on_skipped: Callable[[str, str], None],
) -> Iterator[SubmissionRow]:
    """
    Yield the submissions in a file or in standard input. Each has its own submission key.

    Args:
        source: The path of the file, or `-` for standard input.
        spec: What the options of the command say about the file.
        check: Called with the endpoint, the parameters, the submission key and the cells of each
            row. Raises `ValueError` or `click.UsageError` for a bad row. Other errors end the
            reading.
        on_skipped: Called with the location and the problem of a bad row. The row is skipped.

    Raises:
        click.UsageError: The file cannot be read, no row has an endpoint, two columns name the same
            parameter, or `--send` names a column that the table lacks. The error about `--send` is
            raised after the last row.
    """
    name = source_name(source)
    keys, locations, columns = RowKeys(), dict[str, str](), dict[str, None]()
    try:
        for row in _check_endpoints(read_rows(source, spec), spec, name):
            columns.update(dict.fromkeys(row.cells))
            try:
                found = keys.ensure_key(_to_submission_row(row, spec, check))
                _check_key_is_new(locations, found)
            except UnusableTable:  # This error ends the reading, although it is a ValueError.
                raise
            except click.UsageError as problem:
                on_skipped(row.location, problem.format_message())
            except ValueError as problem:
                on_skipped(row.location, str(problem))
            else:
                yield found
    except UnusableTable as problem:
        raise click.UsageError(str(problem)) from None
    except OSError as problem:
        raise unreadable_source(source, problem, "a file of prompts") from None
    if columns:
        _check_sent_columns(columns, spec)


def find_unsent_columns(rows: Iterable[SubmissionRow], spec: SubmissionTableSpec) -> list[str]:
    """
    Return the names of columns that are left out of at least one request, as text for a message.

    A request has a column only if its endpoint takes that parameter, or if `--send` names the
    column.
    """
    unsent, sent = dict[str, None](), set[str]()
    for row in rows:
        endpoint = ENDPOINTS[row.submission.endpoint]
        for column in row.submission.columns:
            if _is_sent(endpoint, parameter_name(column), spec):
                sent.add(column)
            else:
                unsent[column] = None
    return [
        f"{shorten(column)} (in some rows)" if column in sent else shorten(column)
        for column in unsent
    ]


def _check_sent_columns(columns: Iterable[str], spec: SubmissionTableSpec) -> None:
    """
    Check that the table has every column that `--send` names.

    Raises:
        click.UsageError: The table lacks such a column.
    """
    names = {parameter_name(column) for column in columns}
    for column in spec.sent_columns:
        if parameter_name(column) not in names:
            raise click.UsageError(
                f"--send names {shorten(column)!r}, which is no column of the table; its columns "
                f"are {', '.join(map(shorten, columns))}; nothing was sent"
            )


def _check_key_is_new(locations: dict[str, str], row: SubmissionRow) -> None:
    if (earlier := locations.setdefault(row.key, row.location)) != row.location:
        raise ValueError(f"its key {row.key!r} is that of {earlier}; give each row its own")


def _check_endpoints(
    rows: Iterator[NamedRow], spec: SubmissionTableSpec, name: str
) -> Iterator[NamedRow]:
    """
    Check that an option or a row names an endpoint, and return all rows unchanged.

    Without `--endpoint`, this function reads rows until one names an endpoint.

    Raises:
        click.UsageError: Neither an option nor a row names an endpoint. Without this check, the
            user would get a message for each row.
    """
    if spec.endpoint is not None:
        return rows
    read: list[NamedRow] = []
    for row in rows:
        read.append(row)
        if any(parameter_name(column) == ENDPOINT_COLUMN for column in row.cells):
            return chain(read, rows)
    if any(not row.problem for row in read):
        raise click.UsageError(
            f"no row of {name} names an endpoint; give --endpoint, or a column `endpoint`; "
            "nothing was sent"
        )
    return iter(read)


def _to_submission_row(row: NamedRow, spec: SubmissionTableSpec, check: RowCheck) -> SubmissionRow:
    """
    Turn a row of the table into a row with a submission.

    Raises:
        ValueError: The row names no endpoint, lacks the submission key that `--key` requires, or
            has parameters that do not fit the endpoint.
        UnusableTable: Two columns of the table name the same parameter.
        click.UsageError: The row names an unknown endpoint or a file that does not exist.
    """
    if row.problem:
        raise ValueError(row.problem)
    cells = {name: value for name, value in row.cells.items() if value not in (None, "")}
    named = {parameter_name(name): value for name, value in cells.items()}
    endpoint = _endpoint(named.pop(ENDPOINT_COLUMN, None), spec)
    _check_names_differ(row, endpoint, spec)
    key = _key(named, row.cells, spec)
    sent = {name: value for name, value in named.items() if _is_sent(endpoint, name, spec)}
    defaults = {
        name: texts[0] if len(texts) == 1 else [*texts] for name, texts in spec.defaults.items()
    }
    parameters = _values(endpoint, defaults, has_types=False)
    parameters |= _values(endpoint, sent, has_types=row.has_types)
    # Also check the columns that are not sent, because one of them may be a misspelt parameter.
    checked = dict.fromkeys(named.keys() - sent.keys(), "") | parameters
    check(endpoint.name, checked, key, row.cells)
    others = _own_columns(spec)
    columns = {name: value for name, value in cells.items() if parameter_name(name) not in others}
    if row.has_types:
        # Replace each NaN with None, because some programs write NaN for a missing value.
        columns = parse_json(json.dumps(columns))
    submission = Submission(endpoint.name, parameters, key, columns=columns)
    return SubmissionRow.of(row.location, submission, content_of(submission, defaults | sent))


def _check_names_differ(row: NamedRow, endpoint: Endpoint, spec: SubmissionTableSpec) -> None:
    """
    Check that no two columns name the same parameter, or both name the key or the endpoint.

    Raises:
        UnusableTable: The columns are those of the table, so each row has them.
        ValueError: The row is a JSON object, which has names of its own.
    """
    columns = dict[str, str]()
    for column in row.cells:
        given = row.repeated.get(column, column)
        name = parameter_name(given)
        earlier = columns.setdefault(name, column)
        if earlier == column or not (name in _own_columns(spec) or _is_sent(endpoint, name, spec)):
            continue
        problem = f"{shorten(earlier)!r} and {shorten(given)!r} both name {shorten(name)}"
        if row.has_types:
            raise ValueError(f"{problem}; keep one of them")
        raise UnusableTable(f"the columns {problem}; keep one of them; nothing was sent")


def _own_columns(spec: SubmissionTableSpec) -> tuple[str, str]:
    """Return the names of the columns that hold the endpoint and the submission key."""
    return ENDPOINT_COLUMN, parameter_name(spec.key_column or _KEY_COLUMN)


def _is_sent(endpoint: Endpoint, name: str, spec: SubmissionTableSpec) -> bool:
    return (
        endpoint.allows_extra
        or name in endpoint.parameters
        or name in map(parameter_name, spec.sent_columns)
    )


def _endpoint(name: Any, spec: SubmissionTableSpec) -> Endpoint:
    given = spec.endpoint if name is None else name
    if given is None:
        raise ValueError("it names no endpoint; give --endpoint, or a column `endpoint`")
    return find_endpoint(shorten(str(given)))


def _key(named: dict[str, Any], columns: Iterable[str], spec: SubmissionTableSpec) -> str | None:
    value = named.pop(parameter_name(spec.key_column or _KEY_COLUMN), None)
    if value is None:
        if spec.key_column is not None:
            raise ValueError(
                f"it has no {spec.key_column!r}, which --key names; it has {format_names(columns)}"
            )
        return None
    match value:
        case str() | int() if not isinstance(value, bool):
            return str(value)
        case _:
            raise ValueError(f"its key is of type {type(value).__name__}, not a text or a number")


def _values(endpoint: Endpoint, cells: Mapping[str, Any], *, has_types: bool) -> dict[str, Any]:
    return {
        name: _parameter_value(endpoint, name, cell, has_types=has_types)
        for name, cell in cells.items()
    }


def _parameter_value(endpoint: Endpoint, name: str, value: Any, *, has_types: bool) -> Any:
    """Return the value of a cell. For a parameter that takes a file, return a path or a link."""
    if isinstance(value, list):
        return [_parameter_value(endpoint, name, item, has_types=has_types) for item in value]
    if not isinstance(value, str) or (has_types and not endpoint.takes_file(name)):
        return value
    return (parse_file if has_types else parse_value)(endpoint, name, value)
