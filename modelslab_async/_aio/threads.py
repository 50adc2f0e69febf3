"""Runs blocking work in a thread, and waits for its end even if the waiting task is cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

from .yield_and_wakeup import wait_to_end

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_in_thread(
    function: Callable[[*Ts], T],
    *args: *Ts,
    undo: Callable[[T], object] | None = None,
    waits_for_loop: bool = False,
) -> T:
    """
    Run a function in a thread, and wait for its end even if this task is cancelled.

    A thread cannot be cancelled. If this function returned early, the caller could close a file
    that the thread still writes. The thread could then write into another file, because the system
    reuses file descriptors.

    Args:
        function: The function. It may block.
        args: Its arguments.
        undo: Called with the result if this task was cancelled, for example to close an opened
            file.
        waits_for_loop: Whether the function waits for coroutines in the event loop. If true, its
            thread does not count towards anyio's limit, which the whole program shares. Otherwise a
            deadlock is possible: such functions take all threads, and their coroutines need one.
    """
    limiter = anyio.CapacityLimiter(1) if waits_for_loop else None
    future = asyncio.ensure_future(anyio.to_thread.run_sync(function, *args, limiter=limiter))
    cancelled = await wait_to_end(future)
    if cancelled is not None:
        # Call `exception` even if `undo` is None, because asyncio logs an exception that is never
        # retrieved.
        if future.exception() is None and undo is not None:
            # Suppress an error of `undo`, so that this task still ends with the CancelledError.
            with suppress(Exception):
                undo(future.result())
        raise cancelled
    return future.result()
