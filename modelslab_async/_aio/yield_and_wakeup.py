"""Helpers for tasks on one event loop: yield, wake a task, recognize or defer a cancellation."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from itertools import cycle
from typing import Any, TypeVar

import anyio
from attrs import define, field

T = TypeVar("T")

_ITEMS_PER_CLOCK_CHECK = 32
# The results of 32 successive calls of `is_clock_due`. Only the last is True.
_CLOCK_CHECKS = (*(False,) * (_ITEMS_PER_CLOCK_CHECK - 1), True)
_MAX_BUSY_S = 0.004
_MAX_GRACE_S = 600.0


class Yielder:
    """
    Lets a long loop yield to other tasks every few milliseconds.

    For each item, the loop calls `is_clock_due`. If the result is True, the loop also calls
    `is_late`. If both results are True, the loop calls `yield_now`.

    `maybe_yield` does all this in one call. It is slower, because each call starts a coroutine.

    Attributes:
        is_clock_due: Returns True at every 32nd call. It is implemented in C, because loops call it
            for each item.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._last_yield = self._clock()
        self.is_clock_due: Callable[[], bool] = cycle(_CLOCK_CHECKS).__next__

    def is_late(self) -> bool:
        """Whether this task has run for more than 4 ms since it last yielded."""
        return self._clock() - self._last_yield > _MAX_BUSY_S

    async def yield_now(self) -> None:
        """Let other tasks run."""
        await asyncio.sleep(0)
        self._last_yield = self._clock()

    async def maybe_yield(self) -> None:
        """Let other tasks run if this task has run for over 4 ms. Loops call this for each item."""
        if self.is_clock_due() and self.is_late():
            await self.yield_now()


@define(eq=False)
class Wakeup:
    """
    An event for one waiting task. The event clears itself when the task wakes.

    Attributes:
        is_set: Whether `wake` was called since the task last woke. If true, another call of `wake`
            does nothing.
    """

    is_set: bool = field(default=False, init=False)
    _future: asyncio.Future[None] | None = field(default=None, init=False)

    def wake(self) -> None:
        """Wake the waiting task. If no task waits, the next `wait` returns immediately."""
        if self.is_set:
            return
        self.is_set = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for `wake`, or until the timeout in seconds has passed."""
        if not self.is_set:
            future = self._future = asyncio.get_running_loop().create_future()
            if timeout is None:
                # Await the future directly if there is no timeout: `asyncio.wait` takes ten times
                # as long.
                await future
            else:
                await asyncio.wait((future,), timeout=timeout)
            self._future = None
        self.is_set = False


def is_cancelled() -> bool:
    """
    Return whether a caught CancelledError is a cancellation of this task.

    If it is not, a task or future that this task awaited was cancelled.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def finish(operation: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """Run an operation in its own task to its end, even if this task is cancelled meanwhile."""
    task = asyncio.ensure_future(operation)
    cancelled = await wait_to_end(task)
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()


async def wait_with_grace(task: asyncio.Task[Any], grace: float) -> None:
    """
    Wait until a task is done. A cancellation of this task does not cancel the other.

    Args:
        task: The task to wait for.
        grace: How many seconds to wait after the first cancellation of this task, but at most 600.

    Raises:
        asyncio.CancelledError: This task was cancelled, or the other one was.
    """
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await wait_to_end(task, min(grace, _MAX_GRACE_S))
        raise


async def wait_to_end(
    future: asyncio.Future[Any],
    timeout: float = math.inf,
    *,
    on_cancel: Callable[[], object] | None = None,
) -> asyncio.CancelledError | None:
    """
    Wait until a future is done or the timeout has passed, even if this task is cancelled meanwhile.

    Args:
        future: The future.
        timeout: The maximum number of seconds to wait.
        on_cancel: Called at each cancellation of this task, for example to make the future done
            sooner.

    Returns:
        The cancellation, which the caller has to raise; None if this task was not cancelled.
    """
    cancelled: asyncio.CancelledError | None = None
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    # Without this shield, a cancelled scope of anyio would cancel this task again in each iteration
    # of the event loop.
    with anyio.CancelScope(shield=True):
        while not future.done() and (rest := deadline - now()) > 0:
            try:
                await asyncio.wait((future,), timeout=None if rest == math.inf else rest)
            except asyncio.CancelledError as error:
                cancelled = error
                if on_cancel is not None:
                    on_cancel()
    return cancelled
