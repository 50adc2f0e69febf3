"""Runs blocking work in a thread, and waits for its end even if the waiting task is cancelled."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
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
    on_cancel: Callable[[], object] | None = None,
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
        on_cancel: Called if this task is cancelled, for example to make the function end sooner.
    """
    limiter = anyio.CapacityLimiter(1) if waits_for_loop else None
    outcome: Future[T] = Future()
    running = anyio.to_thread.run_sync(_run, outcome, function, *args, limiter=limiter)
    task = asyncio.ensure_future(running)
    try:
        cancelled = await wait_to_end(task, on_cancel=on_cancel)
        if not outcome.cancel() and not outcome.done():
            # The thread goes on, although something has cancelled `task`: `asyncio.run` cancels all
            # tasks at the end of a program.
            wrapped = asyncio.wrap_future(outcome)
            cancelled = await wait_to_end(wrapped, on_cancel=on_cancel) or cancelled
        if cancelled is not None:
            if undo is not None and not outcome.cancelled() and outcome.exception() is None:
                # Suppress an error of `undo`, so that this task still ends with the CancelledError.
                with suppress(Exception):
                    undo(outcome.result())
            raise cancelled
        if outcome.cancelled():
            # The function was not called. This raises the reason.
            task.result()
        return outcome.result()
    finally:
        # Break a reference cycle: the traceback of an error holds this frame.
        del outcome


def _run(outcome: Future[T], function: Callable[[*Ts], T], *args: *Ts) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        outcome.set_result(function(*args))
    except BaseException as error:  # noqa: BLE001 -- `run_in_thread` raises it.
        # A future of asyncio does not take a StopIteration, and would never be done.
        is_stop = isinstance(error, StopIteration)
        outcome.set_exception(
            RuntimeError("the function raised StopIteration") if is_stop else error
        )
        # Break a reference cycle: the traceback of the error holds this frame.
        del outcome
