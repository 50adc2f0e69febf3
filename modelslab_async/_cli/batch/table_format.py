"""Detects whether a table of submissions is JSON, CSV or lines of prompts."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from ..standard_input import source_name

# How many lines are read ahead to detect the format of a table.
SAMPLE_LINES: Final = 20
_FORMATS_BY_SUFFIX: Final = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_DELIMITERS: Final = ",;\t"
_NAME_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,60}")


def find_format(source: str, sample: Sequence[str], is_expected: Callable[[str], bool]) -> str:
    """
    Return `text`, `csv` or `json`, by the suffix of the file or by its first lines.

    Args:
        source: The path of the file, or `-` for standard input.
        sample: The first lines of the file, at most `SAMPLE_LINES`.
        is_expected: Returns whether a column of this name identifies a table of submissions.

    Raises:
        click.UsageError: The lines may be prompts with commas, or a CSV table that has none of the
            expected columns. The user must say which, because each prompt is paid for.
    """
    if known := _FORMATS_BY_SUFFIX.get(Path(source).suffix.lower()):
        return known
    first = first_line(sample)
    if first.startswith("{") or re.match(r"\[\s*($|[{\"])", first):
        return "json"
    delimiter = delimiter_of(first)
    names = [name.strip() for row in _csv_rows([first], delimiter) for name in row]
    if all(map(_NAME_PATTERN.fullmatch, names)) and any(map(is_expected, names)):
        return "csv"
    if _is_probably_csv(names, sample, delimiter):
        raise click.UsageError(
            f"{source_name(source)} looks like a CSV table, but none of its columns is expected: "
            f"{', '.join(names)}; name one `prompt`, or give --input-format text if each line is "
            "a prompt; nothing was sent"
        )
    return "text"


def first_line(sample: Sequence[str]) -> str:
    """Return the first line that is not empty, or "" if all lines are empty."""
    return next((line.strip() for line in sample if line.strip()), "")


def delimiter_of(header: str) -> str:
    """Return the delimiter of a CSV file with this header."""
    return max(_DELIMITERS, key=header.count)


def _csv_rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Read the lines as CSV. Return no rows if they cannot be CSV."""
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if row]
    except csv.Error:
        return []


def _is_probably_csv(names: Sequence[str], sample: Sequence[str], delimiter: str) -> bool:
    """Whether the first row's cells are single words, and all rows have equally many cells."""
    if delimiter not in first_line(sample) or any(" " in name for name in names):
        return False
    rows = _csv_rows(sample, delimiter)
    if len(sample) == SAMPLE_LINES:
        # The last row of the sample may be incomplete.
        del rows[-1:]
    are_names = all(map(_NAME_PATTERN.fullmatch, names))
    return are_names and len(rows) > 1 and {len(names)} == set(map(len, rows))
