"""Show: what is printed, for a reader or a program. No server's control character gets out."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import Failed, Outcome, Processing, Success, Unresolved, to_dict
from .exit_codes import explained

PROGRAM = "modelslab-async"
# Categories of characters that move a cursor, turn the direction of writing or break a line.
_UNSAFE = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
_LONGEST = 2000
_STYLES = {"success": "green", "failed": "red", "unresolved": "yellow", "processing": "cyan"}


def plain(text: str) -> str:
    """The text on one line, with every character that a terminal would obey written out."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSAFE
        else character
        for character in text
    )


def say(text: str) -> None:
    """Tell the user one line, beside the output."""
    click.echo(f"{PROGRAM}: {plain(text)[:_LONGEST]}", err=True)


def is_terminal() -> bool:
    """Whether a reader sees the output."""
    return sys.stdout.isatty()


def terminal(*, stderr: bool = False) -> Console:
    """A console that takes every text as it is."""
    return Console(markup=False, highlight=False, emoji=False, stderr=stderr)


def print_record(news: Processing | Outcome) -> None:
    """Print a reply or an outcome as one line of JSON."""
    click.echo(json.dumps(to_dict(news)))


def print_news(console: Console, news: Processing | Outcome) -> None:
    """Print a reply or an outcome for a reader."""
    kind = str(to_dict(news)["kind"])
    line = Text.assemble((f"{kind:<10}", _STYLES[kind]), " ", (plain(str(news.ticket)), "bold"))
    said = [_shortened(plain(text)) for text in _said(news) if text]
    if len(said) == 1:
        line.append(f"  {said[0]}")
        said = []
    # Links must not be broken where the window ends.
    console.print(line, soft_wrap=True)
    for text in said:
        console.print(Text(f"           {text}"), soft_wrap=True)


def _said(news: Processing | Outcome) -> Iterator[str]:
    match news:
        case Success(output=output, message=message):
            yield from output or (message,)
        case Failed(message=message, reason=reason):
            yield message or reason
        case Processing(status=status, eta=eta, message=message):
            yield status
            yield "" if eta is None else f"about {eta:g} s to go, says the server"
            yield message
        case Unresolved(cause=cause):
            yield explained(cause).removeprefix(f"{news.ticket}: ")


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text)} characters; --json prints all)"


def table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[Text]], *, lines: bool = True
) -> Table:
    """A table in which long texts are folded and none is cut."""
    drawn = Table(title=title or None, box=SIMPLE, title_justify="left", show_lines=lines)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn
