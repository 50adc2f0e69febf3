"""Poller: the one task group that obeys the schedule. It decides nothing and waits for nobody."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context

import anyio
import anyio.abc

from .._aio.bell import Bell
from .._aio.cooperation import Turns, is_cancelled
from .._models.errors import ClientClosed, LookFault, ModelsLabError, TransportError
from .._models.events import Faulted, Looked, Paused, Settled
from .._models.outcomes import Unresolved
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import Pending, in_full
from .._scheduling.host_queue import Entry, Watcher
from .._scheduling.schedule import Effects, Ending, Schedule
from .listeners import Hearers
from .poll_guards import Guards
from .watchers import timed_out

_logger = logging.getLogger("modelslab_async")

# So many tickets are ended before other tasks get their turn.
_SLICE = 256


class Poller:
    """
    Looks after all open tickets of one client, in a task of its own.

    A fixed number of workers take what is due, look, and feed the schedule what came. One timer
    wakes them. Workers own the requests, so nobody who stops waiting cancels one.
    """

    def __init__(
        self,
        schedule: Schedule,
        look: Callable[[Ticket], Awaitable[Reply | Pending]],
        *,
        workers: int,
        on_settled: Callable[[Ticket], object] = lambda _: None,
        hearers: Hearers,
        guards: Guards | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._schedule = schedule
        self._look = look
        self._most_workers = workers
        self._on_settled = on_settled
        self._hearers = hearers
        self._guards = guards or Guards()
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._idle: list[asyncio.Future[None]] = []
        self._workers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._bell = Bell()
        self._dropped: list[tuple[Sequence[Ticket], Watcher]] = []
        self._leaving = 0
        self._broken: BaseException | None = None
        self._closing = False
        self._reaping = False
        self._task = self._loop.create_task(
            self._run(), name="modelslab_async poller", context=Context()
        )

    def watch(
        self,
        ticket: Ticket,
        watcher: Watcher,
        *,
        tier: Tier,
        host: str,
        eta: float | None = None,
        fresh: bool = False,
        calm: bool = False,
    ) -> None:
        """Look after a ticket until the watcher heard how it ended. See `Schedule.add`."""
        if self._broken is not None:
            watcher.fail(self._broken)
            return
        self._schedule.add(
            ticket,
            watcher,
            tier=tier,
            host=host,
            now=self._loop.time(),
            chance=self._chance(),
            eta=eta,
            fresh=fresh,
            calm=calm,
        )
        self._arm()

    def nudge(self, ticket: Ticket, *, gap: float = 0.0, news: bool = False) -> None:
        """Look at an open ticket now. See `Schedule.nudge`."""
        if self._schedule.nudge(ticket, self._loop.time(), gap, news=news):
            self._arm()

    def leave(self, ticket: Ticket, watcher: Watcher) -> None:
        """Stop waiting. A request on its way goes on; its reply is dropped."""
        self._schedule.drop(ticket, watcher)

    def leave_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        """Stop waiting for many, a few at a time, whatever becomes of who calls this."""
        self._dropped.append((tickets, watcher))
        self._leaving += 1
        self._bell.ring()

    @property
    def is_leaving(self) -> bool:
        """Whether some that nobody waits for any more may still be looked at."""
        return self._leaving > 0 and not self._task.done()

    async def _drop(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        turns = Turns()
        for ticket in tickets:
            self._schedule.drop(ticket, watcher)
            await turns.give()
        self._leaving -= 1

    def last(self, ticket: Ticket) -> Processing | None:
        """The last reply for an open ticket."""
        return self._schedule.last(ticket)

    def give_up(self, ticket: Ticket, seconds: float | None) -> Unresolved:
        """The outcome for a caller who will not wait for any longer."""
        last, fault = self._schedule.last(ticket), self._schedule.fault(ticket)
        return timed_out(ticket, seconds or 0.0, last, fault)

    async def aclose(self) -> None:
        """End every wait as unresolved, and the workers with it."""
        self._closing = True
        self._task.cancel()
        await asyncio.wait((self._task,))
        while len(self._schedule):
            self._end_some()
            await asyncio.sleep(0)

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._arm()
                while True:
                    await self._bell.wait()
                    self._hire(group)
        except asyncio.CancelledError:
            self._broken = _closed()
            # The loop itself is ending, and there is no time left to do it a few at a time.
            while len(self._schedule) and not self._closing:
                self._end_some()
            raise
        except Exception as error:
            self._broken = _first(error)
            _logger.exception("the poller broke")
        else:
            self._broken = RuntimeError("a worker of the poller was cancelled from outside")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not self._closing and self._broken is not None:
                for watcher in self._schedule.abandon():
                    watcher.fail(self._broken)

    def _hire(self, group: anyio.abc.TaskGroup) -> None:
        """Start what was asked for. Only here: a task group takes tasks from a task alone."""
        while self._dropped:
            group.start_soon(self._drop, *self._dropped.pop())
        if self._workers < self._most_workers and not self._idle:
            self._workers += 1
            group.start_soon(self._work)

    def _end_some(self) -> None:
        for ending in self._schedule.close(_closed(), _SLICE, self._loop.time()):
            self._tell(ending)

    async def _reap(self) -> None:
        """End what a refusal met, a few in each turn of the loop, however many were refused."""
        if self._reaping:
            return
        self._reaping = True
        try:
            while self._schedule.doomed:
                for ending in self._schedule.reap(_SLICE, self._loop.time()):
                    self._tell(ending)
                await asyncio.sleep(0)
        finally:
            self._reaping = False

    async def _work(self) -> None:
        while True:
            entry = self._schedule.take(self._loop.time())
            if entry is None:
                await self._rest()
                continue
            self._arm()
            if self._guards.admit(entry.ticket):
                await self._ask(entry)
            else:
                self._schedule.put_back(entry, self._loop.time())
                await asyncio.sleep(0)

    async def _rest(self) -> None:
        woken = self._loop.create_future()
        self._idle.append(woken)
        self._arm()
        await woken

    async def _ask(self, entry: Entry) -> None:
        began, due = entry.began, entry.due
        try:
            result: Reply | Pending | ModelsLabError = await self._look(entry.ticket)
        except ModelsLabError as error:
            result = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            result = TransportError("the exchange was cancelled from within", ticket=entry.ticket)
        now = self._loop.time()
        watchers = entry.watchers
        effects = self._schedule.feed(entry, result, now, self._chance())
        for watcher in watchers:
            if watcher.follows and isinstance(result, Pending | Processing):
                watcher.hear(in_full(result, entry.ticket))
        if effects.paused is not None:
            _logger.warning(
                "trouble at %s, no look for %.1f s: %s", entry.lane.host, effects.paused, result
            )
        if self._hearers:
            self._report(entry, result, effects, late=began - due, took=now - began)
        if effects.ending is not None:
            self._tell(effects.ending)
        if self._schedule.doomed:
            await self._reap()

    def _arm(self) -> None:
        """Wake a worker if something is due, else set the timer to when something will be."""
        if not self._idle and self._workers == self._most_workers:
            # Whoever is ready first sees to it.
            return
        when = self._schedule.next_look()
        if when is None:
            return
        if when <= self._loop.time():
            self._wake()
        elif self._timer is None or self._rings_at != when:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at = when
            self._timer = self._loop.call_at(when, self._ring, context=Context())

    def _ring(self) -> None:
        self._timer = None
        self._arm()

    def _wake(self) -> None:
        while self._idle:
            woken = self._idle.pop()
            if not woken.done():
                woken.set_result(None)
                return
        if self._workers < self._most_workers:
            self._bell.ring()

    def _tell(self, ending: Ending) -> None:
        for watcher in ending.watchers:
            watcher.hear(ending.outcome)
        self._on_settled(ending.outcome.ticket)
        if self._hearers:
            self._hearers(Settled(outcome=ending.outcome, looks=ending.looks, waited=ending.waited))

    def _report(
        self,
        entry: Entry,
        result: Reply | Pending | ModelsLabError,
        effects: Effects,
        *,
        late: float,
        took: float,
    ) -> None:
        match result:
            case LookFault():
                self._hearers(Faulted(ticket=entry.ticket, error=result, faults=entry.faults))
            case ModelsLabError():
                pass
            case _:
                reply = in_full(result, entry.ticket) if isinstance(result, Pending) else result
                self._hearers(Looked(ticket=entry.ticket, reply=reply, took=took, late=late))
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._hearers(Paused(tier=entry.lane.tier, seconds=effects.paused, cause=result))


def _closed() -> ClientClosed:
    return ClientClosed("the client was closed; wait for the ticket again to resume")


def _first(error: Exception) -> BaseException:
    """What broke first: workers that break on the same thing come as a group of it."""
    found: BaseException = error
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
