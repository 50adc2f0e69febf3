"""
IdleWorkers: a pool of workers, and the timer that wakes an idle worker for the next poll.

The owner of the pool supplies the workers, which send the polls.
"""

import asyncio
import math
from collections.abc import Callable
from contextvars import Context


class IdleWorkers:
    """
    A pool of up to `size` workers. Each worker is started when it is first needed.

    One timer serves all tickets. Usually, `arm` wakes a worker if a poll is due, and otherwise sets
    the timer. But `arm` does nothing while all workers are busy, or while one is being started or
    woken. The next worker that is ready then looks for a due ticket, and calls `arm` again.

    Args:
        next_poll_at: Returns when the next poll may start; None if nothing is queued; infinity if
            the time is unknown. The owner of the pool calls `arm` when the time becomes known.
        size: The maximum number of workers.
        request_worker: Asks the owner of the pool to start one more worker.

    Attributes:
        is_settled: Whether `arm` has nothing to do: all workers are busy, or one is being started
            or woken.
    """

    def __init__(
        self,
        next_poll_at: Callable[[], float | None],
        *,
        size: int,
        request_worker: Callable[[], None],
    ) -> None:
        self._next_poll_at = next_poll_at
        self._size = size
        self._request_worker = request_worker
        self._loop = asyncio.get_running_loop()
        self._started = 0
        self._idle: list[asyncio.Future[None]] = []
        self._is_worker_coming = False
        self.is_settled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def try_add_worker(self) -> bool:
        """
        Return whether the caller must start one more worker.

        If the result is true, the new worker is already counted. The result is false if a worker
        is idle, or if the pool is full.
        """
        is_needed = not self._idle and self._started < self._size
        self._started += is_needed
        self._set_worker_coming(is_coming=False)
        if not is_needed:
            self.arm()
        return is_needed

    def arm(self, now: float | None = None) -> None:
        """
        Wake a worker if a poll is due. Otherwise, set the timer to the next poll.

        Args:
            now: The current time; None to read the clock.
        """
        if self.is_settled:
            return
        when = self._next_poll_at()
        if when is None or when == math.inf:
            return
        if when <= (self._loop.time() if now is None else now):
            self._wake_worker()
        elif self._timer is None or self._timer_due != when:
            self.cancel_timer()
            self._timer_due = when
            # With an empty context, the timer does not keep a caller's context variables in memory.
            self._timer = self._loop.call_at(when, self._on_timer, context=Context())

    async def wait_until_woken(self) -> None:
        """Mark the calling worker as idle, and wait until a poll may be due."""
        woken = self._loop.create_future()
        self._idle.append(woken)
        self._set_worker_coming(is_coming=self._is_worker_coming)
        self.arm()
        await woken
        self._set_worker_coming(is_coming=False)

    def cancel_timer(self) -> None:
        """Cancel the timer, if it is set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self.arm()

    def _wake_worker(self) -> None:
        while self._idle:
            woken = self._idle.pop()
            if not woken.done():
                woken.set_result(None)
                self._set_worker_coming(is_coming=True)
                return
        if self._started < self._size:
            self._set_worker_coming(is_coming=True)
            self._request_worker()

    def _set_worker_coming(self, *, is_coming: bool) -> None:
        self._is_worker_coming = is_coming
        self.is_settled = is_coming or (not self._idle and self._started == self._size)
