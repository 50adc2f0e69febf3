"""Tickets: what a user typed or piped, checked before anything is sent. Needs a key, shows none."""

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeVar

import click

from .. import FAMILIES, Client, Event, Family, Ticket
from .._registry.suggestions import did_you_mean
from .._transport.credentials import Credentials
from .exit_codes import BAD_KEY
from .option_names import with_option_names

T = TypeVar("T")
STDIN = "-"
_CHUNK_BYTES = 65536
_MAX_BUFFERED_CHUNKS = 4


class MissingKey(click.ClickException):
    """There is no key, or none that fits."""

    exit_code = BAD_KEY


def find_family(name: str) -> Family:
    """
    The family of this name.

    Raises:
        click.UsageError: There is none.
    """
    family = FAMILIES.get(name)
    if family is not None:
        return family
    hint = did_you_mean(name, FAMILIES) or "none is like it;"
    raise click.UsageError(
        f"unknown family {name!r}; {hint} `modelslab-async families` lists all of them"
    )


def parse_ticket(text: str) -> Ticket:
    """
    Read a ticket of a family that there is.

    Raises:
        click.UsageError: It is ill-formed or of no family.
    """
    try:
        ticket = Ticket.parse(text)
        find_family(ticket.family).check(ticket)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return ticket


def parse_pollable_ticket(text: str, credentials: Credentials) -> Ticket:
    """
    Read a ticket, and make sure that it could be asked about.

    Raises:
        click.UsageError: It is ill-formed or of no family.
        NoKey: There is no key for its family.
    """
    ticket = parse_ticket(text)
    _require_key(lambda: credentials.key_for(find_family(ticket.family).tier))
    return ticket


def find_credentials() -> Credentials:
    """
    The keys of the environment.

    Raises:
        NoKey: There is none, or one is garbled.
    """
    return _require_key(lambda: Credentials.resolve(None, None))


def _require_key(get: Callable[[], T]) -> T:
    try:
        return get()
    except ValueError as error:
        # The library's message names an argument that the command line does not have.
        raise MissingKey(with_option_names(str(error))) from None


def make_client(
    base_url: str | None,
    legacy_base_url: str | None,
    on_event: Callable[[Event], object] | None = None,
) -> Client:
    """
    A client for the hosts given.

    Raises:
        click.UsageError: A base URL is not one.
    """
    try:
        return Client(base_url=base_url, legacy_base_url=legacy_base_url, on_event=on_event)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def iter_tickets(
    texts: Iterable[str], credentials: Credentials, on_skipped: Callable[[str], None]
) -> AsyncGenerator[Ticket, None]:
    """
    The tickets of the arguments, those of standard input where one of them is `-`.

    Args:
        texts: The arguments, already checked.
        keys: The keys there are.
        skip: Told what is wrong with a line of standard input; the rest is not lost for it.
    """
    for text in texts:
        if text != STDIN:
            yield parse_pollable_ticket(text, credentials)
            continue
        number = 0
        async for line in _stdin_lines():
            number += 1
            if not line.strip():
                continue
            try:
                ticket = parse_pollable_ticket(line.strip(), credentials)
            except click.UsageError as error:
                on_skipped(f"line {number} of standard input skipped: {error.format_message()}")
            else:
                yield ticket


async def _stdin_lines() -> AsyncGenerator[str, None]:
    """The lines of standard input as they come, without holding up the event loop."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    free_chunks = threading.Semaphore(_MAX_BUFFERED_CHUNKS)

    def read() -> None:
        while free_chunks.acquire():
            chunk = os.read(0, _CHUNK_BYTES)
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # The loop is closed: nobody reads any more.
                return
            if not chunk:
                return

    # A daemon, since nothing wakes a thread that reads from a terminal; not asyncio's own pipes,
    # since they take no regular file.
    threading.Thread(target=read, name="standard input", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    rest = ""
    while chunk := await chunks.get():
        free_chunks.release()
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line
    if rest := rest + decoder.decode(b"", final=True):
        yield rest
