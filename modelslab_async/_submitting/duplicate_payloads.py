"""Twins: submits of one payload, which go one at a time once the spam filter has answered."""

import asyncio
from contextvars import Context
from heapq import heappop, heappush

from attrs import Factory, define

from .._models.errors import ModelsLabError

# What the filter asks for where it says nothing else.
_SPAM_INTERVAL_S = 30.0
# No two clocks run alike.
_CLOCK_MARGIN_S = 0.1

Waiter = asyncio.Future[ModelsLabError | None]


@define(eq=False)
class _PayloadQueue:
    """
    Those of one payload.

    Attributes:
        next_send_at: When the next one may go.
        interval: Seconds from the answer to one until the next.
        current: The number of whose turn it is.
        waiters: Who waits, the lowest number first.
        timer: What wakes the next one.
    """

    next_send_at: float
    interval: float
    current: int | None = None
    waiters: list[tuple[int, Waiter]] = Factory(list)
    timer: asyncio.TimerHandle | None = None


@define(eq=False)
class DuplicatePayloads:
    """
    Submits whose payloads are the same, of one account.

    As long as the spam filter has not answered, they go like all others. Once it has, those of that
    payload go one at a time: each half a minute after the answer to the one before, since nobody
    knows sooner that the service has seen it. When none waits any more, that is over.
    """

    _queues: dict[str, _PayloadQueue] = Factory(dict)

    async def acquire(self, payload: str, number: int) -> None:
        """
        Wait for one's turn among those of a payload. The lowest number goes first.

        Raises:
            ModelsLabError: Those in line are sent away.
        """
        queue = self._queues.get(payload)
        if queue is None:
            return
        waiter: Waiter = asyncio.get_running_loop().create_future()
        heappush(queue.waiters, (number, waiter))
        try:
            error = await waiter
        except asyncio.CancelledError:
            self.release(payload, number)
            raise
        if error is not None:
            raise error

    def may_submit(self, payload: str, number: int) -> bool:
        """Whether it is its turn, or everybody's."""
        queue = self._queues.get(payload)
        return queue is None or queue.current == number

    def release(self, payload: str, number: int) -> None:
        """It will not be sent: its turn, if it had it, is the next one's."""
        queue = self._queues.get(payload)
        if queue is not None and queue.current == number:
            queue.current = None
            self._arm_timer(payload, queue)

    def on_reply(self, payload: str, number: int) -> None:
        """It was sent, and is over: the service may have seen it until now."""
        queue = self._queues.get(payload)
        if queue is None:
            return
        queue.next_send_at = asyncio.get_running_loop().time() + queue.interval
        if queue.current == number:
            queue.current = None
        self._arm_timer(payload, queue)

    def space_out(self, payload: str, seconds: float | None) -> None:
        """The filter has answered, and asks to wait for so long."""
        interval = max(seconds or 0.0, _SPAM_INTERVAL_S) + _CLOCK_MARGIN_S
        next_send_at = asyncio.get_running_loop().time() + interval
        queue = self._queues.setdefault(payload, _PayloadQueue(next_send_at, interval))
        queue.next_send_at, queue.interval = next_send_at, interval
        self._arm_timer(payload, queue)

    def reject_waiting(self, error: ModelsLabError) -> None:
        """Those who are in line now will not be sent, for this reason."""
        for queue in self._queues.values():
            waiters, queue.waiters = queue.waiters, []
            for _, waiter in waiters:
                if not waiter.done():
                    waiter.set_result(error)

    def close(self) -> None:
        """Nobody waits for a turn any more."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            if queue.timer is not None:
                queue.timer.cancel()

    def _arm_timer(self, payload: str, queue: _PayloadQueue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        if queue.current is None:
            loop = asyncio.get_running_loop()
            queue.timer = loop.call_at(
                queue.next_send_at, self._admit_next, payload, queue, context=Context()
            )

    def _admit_next(self, payload: str, queue: _PayloadQueue) -> None:
        """Give the turn to who comes next; where there is nobody, nobody needs one."""
        queue.timer = None
        while queue.waiters:
            number, waiter = heappop(queue.waiters)
            if not waiter.done():
                queue.current = number
                waiter.set_result(None)
                return
        del self._queues[payload]
