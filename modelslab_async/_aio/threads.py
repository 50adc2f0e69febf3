"""Threads: blocking work beside the event loop, which is never left half done."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_in_thread(
    function: Callable[[*Ts], T], *args: *Ts, undo: Callable[[T], object] | None = None
) -> T:
    """
    Do blocking work in a thread, and see it end even if the caller is cancelled meanwhile.

    Nobody can stop a thread: one that still wrote while its file is being closed would write into
    whichever file is opened next.

    Args:
        function: The work.
        args: What it is called with.
        undo: Called with a result that nobody waits for any more.
    """
    future = asyncio.ensure_future(anyio.to_thread.run_sync(function, *args))
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # The exception is looked at, so that asyncio does not complain about it later.
        if future.exception() is None and undo is not None:
            # A failing undo must not replace the cancellation.
            with suppress(Exception):
                undo(future.result())
        raise cancelled
    return future.result()
