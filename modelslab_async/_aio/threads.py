"""Threads: blocking work beside the event loop, which is never left half done."""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def in_thread(
    work: Callable[[*Ts], T], *given: *Ts, undo: Callable[[T], object] | None = None
) -> T:
    """
    Do blocking work in a thread, and see it end even if the caller is cancelled meanwhile.

    Nobody can stop a thread: one that still wrote while its file is being closed would write into
    whichever file is opened next.

    Args:
        work: The work.
        given: What it is called with.
        undo: Called with a result that nobody waits for any more.
    """
    doing = asyncio.ensure_future(anyio.to_thread.run_sync(work, *given))
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait((doing,))
        except asyncio.CancelledError as fault:
            cancelled = fault
    if cancelled is not None:
        # The exception is looked at, so that asyncio does not complain about it later.
        if doing.exception() is None and undo is not None:
            undo(doing.result())
        raise cancelled
    return doing.result()
