"""Reads tickets from arguments and standard input, and checks them. It never prints a key."""

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

import click

from .. import FAMILIES, Client, Event, Family, Pace, Submitted, Ticket
from .._registry.suggestions import did_you_mean
from .._transport.credentials import Credentials, MissingApiKey
from .account_limit_options import AccountLimits
from .exit_codes_and_advice import BAD_KEY

T = TypeVar("T")
STDIN = "-"
DEFAULT_SUBMIT_TIMEOUT_S = 120.0
_CHUNK_BYTES = 65536
_MAX_BUFFERED_CHUNKS = 4
# With this, `unsent_timeout` ends a submit before the number of its attempts does.
_LEAST_PAUSE_S = 15.0


class UnusableKey(click.ClickException):
    """A key is missing or malformed."""

    exit_code = BAD_KEY


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
    Read a ticket of a known family.

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
    Read a ticket, and make sure that there is a key to poll it with.

    Raises:
        click.UsageError: The ticket is malformed, or its family is unknown.
        UnusableKey: There is no key for the family of the ticket.
    """
    ticket = parse_ticket(text)
    _require_key(lambda: credentials.key_for(find_family(ticket.family).tier))
    return ticket


def check_tickets(texts: Iterable[str]) -> Credentials:
    """
    Check all tickets among the arguments, before the command polls any of them.

    Returns:
        The keys to poll the tickets with.

    Raises:
        click.UsageError: A ticket is malformed, or its family is unknown.
        UnusableKey: A key is missing or malformed.
    """
    credentials = find_credentials()
    for text in texts:
        if text != STDIN:
            parse_pollable_ticket(text, credentials)
    return credentials


def find_credentials() -> Credentials:
    """
    Return the keys from the environment.

    Raises:
        UnusableKey: There is no key, or a key is malformed.
    """
    return _require_key(lambda: Credentials.resolve(None, None))


def _require_key(get: Callable[[], T]) -> T:
    try:
        return get()
    except MissingApiKey as error:
        raise UnusableKey(missing_key_message(error)) from None
    except ValueError as error:
        raise UnusableKey(str(error)) from None


def missing_key_message(error: MissingApiKey) -> str:
    """Return the message about a missing key, with the environment variable to set."""
    return f"{error.need}; set {error.variable}"


def make_client(
    base_url: str | None,
    legacy_base_url: str | None,
    on_event: Callable[[Event], object] | None = None,
    on_submitted: Callable[[Submitted], Awaitable[object]] | None = None,
    *,
    limits: AccountLimits | None = None,
    max_submits: int | None = None,
    unsent_timeout: float = 30.0,
    submit_timeout: float = DEFAULT_SUBMIT_TIMEOUT_S,
) -> Client:
    """
    Make a client for these base URLs.

    Raises:
        click.UsageError: A base URL is malformed, or the account has other limits.
        AccountError: The file of the account cannot be used.
    """
    try:
        return Client(
            base_url=base_url,
            legacy_base_url=legacy_base_url,
            on_event=on_event,
            on_submitted=on_submitted,
            max_submits=max_submits,
            unsent_timeout=unsent_timeout,
            pace=Pace(max_failures=max(Pace().max_failures, int(unsent_timeout / _LEAST_PAUSE_S))),
            submit_timeout=submit_timeout,
            **(limits or AccountLimits()).client_arguments(),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def iter_tickets(
    texts: Iterable[str], credentials: Credentials, on_skipped: Callable[[str], None]
) -> AsyncGenerator[Ticket, None]:
    """
    Yield the tickets of the arguments. The argument `-` stands for the tickets of standard input.

    Args:
        texts: The arguments, already checked.
        credentials: The keys to poll with.
        on_skipped: Called with the problem of a bad line of standard input. The line is skipped.
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
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    free_chunks = threading.Semaphore(_MAX_BUFFERED_CHUNKS)

    def read() -> None:
        while free_chunks.acquire():
            chunk = os.read(0, _CHUNK_BYTES)
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # The event loop is closed.
                return
            if not chunk:
                return

    # A thread reads standard input, because asyncio cannot read a regular file as a pipe. The
    # thread is a daemon, because nothing can interrupt it while it reads from a terminal.
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
