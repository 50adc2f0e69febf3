"""Reads tickets from arguments and standard input, and checks them."""

import asyncio
import codecs
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeVar

import click

from .. import FAMILIES, Family, Ticket
from .._registry.suggestions import did_you_mean
from .._transport.credentials import Credentials
from .client_factory import find_credentials, require_key
from .standard_input import STDIN, open_bytes, unreadable_source

T = TypeVar("T")
_CHUNK_BYTES = 65536
_MAX_BUFFERED_CHUNKS = 4


def find_family(name: str) -> Family:
    """
    Return the family with this name.

    Raises:
        click.UsageError: There is no such family.
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
    Parse a ticket, and check that its family is known.

    Raises:
        click.UsageError: The ticket is malformed, or its family is unknown.
    """
    try:
        ticket = Ticket.parse(text)
        find_family(ticket.family).check(ticket)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return ticket


def parse_pollable_ticket(text: str, credentials: Credentials) -> Ticket:
    """
    Parse a ticket, and check that there is an API key to poll it with.

    Raises:
        click.UsageError: The ticket is malformed, its family is unknown, or its id contains an API
            key.
        UnusableKey: The API key for the family of the ticket is not set.
    """
    ticket = parse_ticket(text)
    try:
        credentials.check_ticket(ticket)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    require_key(lambda: credentials.key_for(find_family(ticket.family).tier))
    return ticket


def check_tickets(texts: Iterable[str]) -> Credentials:
    """
    Check the tickets among a command's arguments, before the command polls any of them.

    Returns:
        The API keys to poll the tickets with.

    Raises:
        click.UsageError: A ticket is malformed, its family is unknown, or its id contains an API
            key.
        UnusableKey: An API key is missing or malformed.
    """
    credentials = find_credentials()
    for text in texts:
        if text != STDIN:
            parse_pollable_ticket(text, credentials)
    return credentials


async def iter_tickets(
    texts: Iterable[str], credentials: Credentials, on_skipped: Callable[[str], None]
) -> AsyncGenerator[Ticket, None]:
    """
    Yield the tickets among a command's arguments. For `-`, read tickets from standard input.

    Args:
        texts: The arguments. `check_tickets` has checked them already.
        credentials: The API keys to poll with.
        on_skipped: Called with the problem of each bad line of standard input. The line is skipped.

    Raises:
        click.UsageError: Standard input cannot be read.
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
    """Yield the lines of standard input as they arrive, without blocking the event loop."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    rest = ""
    try:
        async for chunk in _stdin_chunks():
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                yield line
    except OSError as error:
        raise unreadable_source(STDIN, error, "tickets as arguments") from None
    if rest := rest + decoder.decode(b"", final=True):
        yield rest


async def _stdin_chunks() -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    free_chunks = threading.Semaphore(_MAX_BUFFERED_CHUNKS)
    source = open_bytes()

    def read() -> None:
        while free_chunks.acquire():
            chunk: bytes | OSError
            try:
                chunk = source.read(_CHUNK_BYTES) or b""
            except OSError as error:
                chunk = error
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:
                # The event loop was closed during the read, so no task waits for the lines.
                return
            if not chunk or isinstance(chunk, OSError):
                return

    # A thread reads standard input, because asyncio can read a pipe, but not a regular file. The
    # thread is a daemon, so that the program can end while the thread waits for the user's input.
    threading.Thread(target=read, name="standard input", daemon=True).start()
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        free_chunks.release()
        yield chunk
