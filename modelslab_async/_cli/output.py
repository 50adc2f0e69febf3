"""Prints replies, outcomes and messages. Escapes control characters on a terminal."""

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import Failed, Outcome, Processing, Success, Unresolved
from .exit_codes_and_advice import explain

# `--help` imports this module, and must be fast. So the module imports neither rich nor cattrs at
# its top: these two take longer to import than all other modules together.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .._transport.credentials import Credentials

PROGRAM = "modelslab-async"
# The Unicode categories of unsafe characters, which can move the cursor, change the direction of
# writing or break a line.
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
_MAX_TEXT_CHARS = 2000
# Matches a string or a number in a line of JSON.
_JSON_SCALAR = re.compile(r'"(?:[^"\\]++|\\.)*+"|-?\d[-+.\deE]*')
_STYLES = {"success": "green", "failed": "red", "unresolved": "yellow", "processing": "cyan"}


def sanitize(text: str) -> str:
    """Make text safe to print on one line. Control characters become escape sequences."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSAFE_CATEGORIES
        else character
        for character in text
    )


def redact(text: str) -> str:
    """Remove the API keys of the environment from text. A user may have typed one by mistake."""
    credentials = _credentials()
    return text if credentials is None else credentials.redact_text(text)


@cache
def _credentials() -> "Credentials | None":
    """Return the API keys of the environment, or None if no key is set or a key is malformed."""
    # Imported here to keep `--help` fast, because `--help` needs no API keys.
    from .._transport.credentials import Credentials  # noqa: PLC0415

    try:
        return Credentials.resolve(None, None)
    except ValueError:
        return None


def message_line(text: str) -> str:
    """Return a message as one line, without control characters and without API keys."""
    credentials = _credentials()
    redacted = text if credentials is None else credentials.redact_argument(text)
    return f"{PROGRAM}: {sanitize(redacted)[:_MAX_TEXT_CHARS]}"


def print_message(text: str) -> None:
    """Print one line on standard error."""
    # A live display replaces `sys.stderr`, so that messages appear above the display. With
    # `err=True`, click would write to the original stream, and the display would appear twice.
    click.echo(message_line(text), file=sys.stderr)


def print_whole_line(text: str) -> None:
    """Print a line of any length on standard error, below the message that explains it."""
    click.echo(sanitize(redact(text)), file=sys.stderr)


def print_record(record: Mapping[str, Any]) -> None:
    """Print a record as a line of JSON on standard output, without API keys."""
    line = json.dumps(record, default=str)
    # Search the whole line first, because this is faster than a search of each string in it.
    click.echo(line if redact(line) == line else _JSON_SCALAR.sub(_redact_scalar, line))


def _redact_scalar(scalar: re.Match[str]) -> str:
    # Redact the decoded text. A redaction of the JSON could remove the backslash of a `\"`.
    text = json.loads(scalar[0]) if scalar[0].startswith('"') else scalar[0]
    redacted = redact(text)
    return scalar[0] if redacted == text else json.dumps(redacted)


def print_line(text: str) -> None:
    """Print one line on standard output, without control characters and without API keys."""
    click.echo(sanitize(redact(text)))


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def make_console(*, stderr: bool = False) -> "Console":
    """Make a rich console that prints text unchanged, even if it looks like rich's markup."""
    from rich.console import Console  # noqa: PLC0415

    return Console(markup=False, highlight=False, emoji=False, stderr=stderr)


def terminal_console(*, as_json: bool) -> "Console | None":
    """Return a console for standard output. None if it is not a terminal or `as_json` is true."""
    return None if as_json or not is_terminal() else make_console()


def print_result(console: "Console | None", result: Processing | Outcome) -> None:
    """Print a result as text on the console. Without a console, print a line of JSON."""
    from rich.text import Text  # noqa: PLC0415

    from .. import to_dict  # noqa: PLC0415

    record = to_dict(result)
    if console is None:
        print_record(record)
        return
    kind = str(record["kind"])
    line = Text.assemble(
        (f"{kind:<10}", _STYLES[kind]), " ", (sanitize(str(result.ticket)), "bold")
    )
    details = [_shorten(sanitize(text)) for text in _details(result) if text]
    if len(details) == 1:
        line.append(f"  {details[0]}")
        details = []
    # rich would break a long link into two lines, and the user could not open the link. If the
    # terminal wraps the line itself, the link stays whole.
    console.print(line, soft_wrap=True)
    for text in details:
        console.print(Text(f"           {text}"), soft_wrap=True)


def print_path(console: "Console | None", path: Path) -> None:
    """Print a file's path on one line. On a console, control characters in it are escaped."""
    from rich.text import Text  # noqa: PLC0415

    if console is None:
        click.echo(str(path))
    else:
        console.print(Text(sanitize(str(path))), soft_wrap=True)


def _details(result: Processing | Outcome) -> Iterator[str]:
    match result:
        case Success(output=output, message=message):
            yield from output or (message,)
        case Failed(message=message, reason=reason):
            yield message or reason
        case Processing(status=status, eta=eta, message=message):
            yield status
            yield "" if eta is None else f"about {eta:g} s to go, according to the server"
            yield message
        case Unresolved(cause=cause):
            yield explain(cause).removeprefix(f"{result.ticket}: ")


def _shorten(text: str) -> str:
    if len(text) <= _MAX_TEXT_CHARS:
        return text
    return f"{text[:_MAX_TEXT_CHARS]}... ({len(text)} characters; --json prints all)"


def table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable["Text"]], *, lines: bool = True
) -> "Table":
    """Make a table for the terminal. Long text is wrapped, never cut."""
    from rich.box import SIMPLE  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    rich_table = Table(title=title or None, box=SIMPLE, title_justify="left", show_lines=lines)
    for column in columns:
        rich_table.add_column(column, overflow="fold")
    for row in rows:
        rich_table.add_row(*row)
    return rich_table


def count_of(count: int, singular: str, plural: str) -> str:
    """Return a count with its words, such as `1 row has` or `1,200 rows have`."""
    return f"{count:,} {singular if count == 1 else plural}"
