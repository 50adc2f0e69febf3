"""WebhookFetches: fetches the tickets of webhooks, and passes each reply to `on_reply`."""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TypeAlias

from attrs import define

from .._aio.sync_or_async_callback import call_and_await
from .._aio.yield_and_wakeup import is_cancelled, wait_to_end
from .._models.errors import ModelsLabError
from .._models.replies import Reply
from .._models.ticket import Ticket
from .engine import Engine

_logger = logging.getLogger("modelslab_async")

# The maximum number of fetches in progress, each with its call of `on_reply`.
_MAX_IN_PROGRESS = 32

OnReply: TypeAlias = Callable[[Reply], object]


@define(eq=False)
class _SharedFetch:
    """
    One fetch of a ticket, with its call of `on_reply`.

    Attributes:
        task: Returns the status code for each delivery that shares the fetch.
        deliveries: The number of deliveries that wait for the task.
    """

    task: asyncio.Task[int]
    deliveries: int = 0


class WebhookFetches:
    """
    Fetches each ticket at most once in `Pace.floor` seconds.

    Deliveries about one ticket share a fetch that has not started. Its reply will include whatever
    they announce. After the start, the server may have built the reply already, so a further
    delivery begins another fetch. If too many are in progress, its answer is 503.

    Args:
        engine: Polls the tickets.
        on_reply: Called with each reply, and awaited if it is async.
    """

    def __init__(self, engine: Engine, on_reply: OnReply) -> None:
        self._engine = engine
        self._on_reply = on_reply
        self._in_progress: set[asyncio.Task[int]] = set()
        self._not_started: dict[Ticket, _SharedFetch] = {}
        self._fetched_at: dict[Ticket, float] = {}

    async def answer(self, ticket: Ticket) -> int:
        """
        Wait until a delivery about a ticket can be answered, and return the status code.

        The fetch goes on until every delivery that shares it is answered or cancelled. The last
        cancelled delivery cancels the fetch, and waits for its end.
        """
        fetch = self._not_started.get(ticket)
        if fetch is None:
            if len(self._in_progress) >= _MAX_IN_PROGRESS:
                return 503
            task = asyncio.create_task(self._run(ticket), name=f"modelslab_async webhook {ticket}")
            self._in_progress.add(task)
            task.add_done_callback(self._in_progress.discard)
            fetch = self._not_started[ticket] = _SharedFetch(task)
        fetch.deliveries += 1
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.deliveries -= 1
            if not fetch.deliveries:
                await self._end(ticket, fetch)

    async def _end(self, ticket: Ticket, fetch: _SharedFetch) -> None:
        if self._not_started.get(ticket) is fetch:
            del self._not_started[ticket]
        fetch.task.cancel()
        await wait_to_end(fetch.task)

    async def _run(self, ticket: Ticket) -> int:
        await self._wait_for_floor(ticket)
        del self._not_started[ticket]
        self._record_start(ticket)
        try:
            reply = await self._engine.fetch(ticket)
        except ModelsLabError as error:
            _logger.warning("the webhook of %s has no effect, its poll failed: %s", ticket, error)
            return 503
        return await self._pass_on(ticket, reply)

    async def _wait_for_floor(self, ticket: Ticket) -> None:
        """Wait until `Pace.floor` seconds have passed since the previous fetch of this ticket."""
        floor, now = self._engine.pace.limits.floor, asyncio.get_running_loop().time
        await asyncio.sleep(self._fetched_at.get(ticket, -math.inf) + floor - now())

    def _record_start(self, ticket: Ticket) -> None:
        # Move the ticket's entry to the end of `_fetched_at`, so that the oldest entries stay in
        # front.
        self._fetched_at.pop(ticket, None)
        self._fetched_at[ticket] = fetched_at = asyncio.get_running_loop().time()
        floor = self._engine.pace.limits.floor
        while self._fetched_at[oldest := next(iter(self._fetched_at))] + floor < fetched_at:
            del self._fetched_at[oldest]

    async def _pass_on(self, ticket: Ticket, reply: Reply) -> int:
        try:
            await call_and_await(self._on_reply, reply)
        except (KeyboardInterrupt, SystemExit):
            raise
        # Catch CancelledError too: `on_reply` can raise it although this task was not cancelled.
        except BaseException:
            if is_cancelled():
                raise
            _logger.exception("on_reply raised for %s", ticket)
            return 500
        return 200
