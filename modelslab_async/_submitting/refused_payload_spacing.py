"""
DuplicatePayloads: delays submits of a payload that the server's spam filter refused.

The spam filter refuses a submit if another submit had the same payload shortly before. After a
refusal, submits of the payload are sent one at a time. Each is sent at least half a minute after
the reply to the previous submit. The delays end when no submit of the payload waits.
"""

import asyncio
from contextvars import Context

from attrs import Factory, define

from .submit_priority_queue import SubmitPriorityQueue

# The minimum time between two submits of one payload. The spam filter uses the same time.
_SPAM_INTERVAL_S = 30.0
# A margin that is added to each interval, because the clocks of client and server may differ.
_CLOCK_MARGIN_S = 0.1


@define(eq=False)
class _PayloadQueue:
    """
    The submits of one payload, after the spam filter has refused one of them.

    Attributes:
        next_send_at: The time at which the next submit may be sent, on the clock of the event loop.
        interval: The seconds from the reply to one submit until the next submit is sent.
        current: The number of the submit that may be sent now; None while all must wait.
        waiting: The submits that wait.
        timer: The timer that admits the next submit at `next_send_at`.
    """

    next_send_at: float
    interval: float
    current: int | None = None
    waiting: SubmitPriorityQueue = Factory(SubmitPriorityQueue)
    timer: asyncio.TimerHandle | None = None


@define(eq=False)
class DuplicatePayloads:
    """Delays submits of the payloads that the server's spam filter has refused."""

    _queues: dict[str, _PayloadQueue] = Factory(dict)
    _is_closed: bool = False

    async def acquire(self, payload: str, number: int) -> None:
        """
        Wait until submit `number` of this payload may be sent. Lower numbers go first.

        Raises:
            ModelsLabError: The API key is refused, no credits are left, or the client is closed.
        """
        queue = self._queues.get(payload)
        if queue is None:
            return
        try:
            error = await queue.waiting.add(number)
        except asyncio.CancelledError:
            self.release(payload, number)
            raise
        if error is not None:
            raise error

    def may_submit(self, payload: str, number: int) -> bool:
        """Whether submit `number` of this payload may be sent now."""
        queue = self._queues.get(payload)
        return queue is None or queue.current == number

    def release(self, payload: str, number: int) -> None:
        """
        End the turn of submit `number`. The next submit with the same payload may follow.

        Do nothing if it is not the turn of submit `number`.
        """
        queue = self._queues.get(payload)
        if queue is not None and queue.current == number:
            queue.current = None
            self._arm_timer(payload, queue)

    def on_reply(self, payload: str, number: int) -> None:
        """
        Handle the reply to submit `number`, if the spam filter has refused its payload before.

        The pause before the next submit begins with this reply, because the server may have
        received the submit long after it was sent.
        """
        queue = self._queues.get(payload)
        if queue is None:
            return
        queue.next_send_at = asyncio.get_running_loop().time() + queue.interval
        if queue.current == number:
            queue.current = None
        self._arm_timer(payload, queue)

    def space_out(self, payload: str, seconds: float | None) -> None:
        """Admit submits of a payload one at a time, because the spam filter refused one of them."""
        if self._is_closed:
            return
        interval = max(seconds or 0.0, _SPAM_INTERVAL_S) + _CLOCK_MARGIN_S
        next_send_at = asyncio.get_running_loop().time() + interval
        queue = self._queues.setdefault(payload, _PayloadQueue(next_send_at, interval))
        queue.next_send_at, queue.interval = next_send_at, interval
        self._arm_timer(payload, queue)

    def reject_waiting(self, error: Exception) -> None:
        """Make `acquire` raise `error` for every submit that waits now."""
        for queue in self._queues.values():
            queue.waiting.reject_all(error)

    def close(self) -> None:
        """Cancel all timers. From now on, delay no submit: the closed `Slots` rejects them all."""
        self._is_closed = True
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
        queue.timer = None
        queue.current = queue.waiting.admit_first()
        if queue.current is None:
            del self._queues[payload]
