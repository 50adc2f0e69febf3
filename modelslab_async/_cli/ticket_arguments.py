"""Tickets: what a user typed or piped, checked before anything is sent. Needs a key, shows none."""

import asyncio
import codecs
import difflib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeVar

import click

from .. import FAMILIES, Client, Event, Family, Ticket
from .._transport.credentials import Keys
from .exit_codes import KEY
from .option_names import in_options

T = TypeVar("T")
STDIN = "-"
_CHUNK = 65536
_MOST_CHUNKS = 4


class NoKey(click.ClickException):
    """There is no key, or none that fits."""

    exit_code = KEY


def family_of(name: str) -> Family:
    """
    The family of this name.

    Raises:
        click.UsageError: There is none.
    """
    family = FAMILIES.get(name)
    if family is not None:
        return family
    near = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise click.UsageError(
        f"unknown family {name!r}; {hint}`modelslab-async families` lists all of them"
    )


def well_formed(text: str) -> Ticket:
    """
    Read a ticket of a family that there is.

    Raises:
        click.UsageError: It is ill-formed or of no family.
    """
    try:
        ticket = Ticket.parse(text)
        family_of(ticket.family).check(ticket)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    return ticket


def checked(text: str, keys: Keys) -> Ticket:
    """
    Read a ticket, and make sure that it could be asked about.

    Raises:
        click.UsageError: It is ill-formed or of no family.
        NoKey: There is no key for its family.
    """
    ticket = well_formed(text)
    _require(lambda: keys.of(family_of(ticket.family).tier))
    return ticket


def find_keys() -> Keys:
    """
    The keys of the environment.

    Raises:
        NoKey: There is none, or one is garbled.
    """
    return _require(lambda: Keys.find(None, None))


def _require(get: Callable[[], T]) -> T:
    try:
        return get()
    except ValueError as fault:
        # The library's message names an argument that the command line does not have.
        raise NoKey(in_options(str(fault))) from None


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
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None


async def given(
    texts: Iterable[str], keys: Keys, skip: Callable[[str], None]
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
            yield checked(text, keys)
            continue
        number = 0
        async for line in _lines():
            number += 1
            if not line.strip():
                continue
            try:
                ticket = checked(line.strip(), keys)
            except click.UsageError as fault:
                skip(f"line {number} of standard input skipped: {fault.format_message()}")
            else:
                yield ticket


async def _lines() -> AsyncGenerator[str, None]:
    """The lines of standard input as they come, without holding up the event loop."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_MOST_CHUNKS)

    def read() -> None:
        while room.acquire():
            chunk = os.read(0, _CHUNK)
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
        room.release()
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line
    if rest := rest + decoder.decode(b"", final=True):
        yield rest
