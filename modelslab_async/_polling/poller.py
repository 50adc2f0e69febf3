"""Poller: the one task group that obeys the schedule. It decides nothing and waits for nobody."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Protocol

import anyio
import anyio.abc

from .._aio.cooperation import Yielder, is_cancelled
from .._aio.wakeup import Wakeup
from .._models.errors import ClientClosed, ModelsLabError, TransientError, TransportError
from .._models.events import Completed, Paused, Polled, PollFailed
from .._models.outcomes import Unresolved
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import CachedProcessing, as_processing
from .._scheduling.effects import Completion, Effects
from .._scheduling.host_queue import Entry
from .._scheduling.initial_state import InitialState
from .._scheduling.schedule import Schedule
from .._scheduling.watcher_protocol import Watcher
from .listeners import Listeners
from .poll_guards import PollGuards
from .watchers import timed_out

_logger = logging.getLogger("modelslab_async")

# So many tickets are ended before other tasks get their turn.
_COMPLETIONS_PER_YIELD = 256
_UNKNOWN_STATE = InitialState()


class TicketStatusClient(Protocol):
    """Knows where a ticket is polled, and polls it once."""

    def tier_and_host_of(self, ticket: Ticket, /) -> tuple[Tier, str]: ...
    async def poll(self, ticket: Ticket, /) -> Reply | CachedProcessing: ...


class Poller:
    """
    Looks after all open tickets of one client, in a task of its own.

    A fixed number of workers take what is due, look, and feed the schedule what came. One timer
    wakes them. Workers own the requests, so nobody who stops waiting cancels one.

    Attributes:
        on_completed: Called with each ticket that has ended. The owner of the slots sets it.
    """

    def __init__(
        self,
        schedule: Schedule,
        status_client: TicketStatusClient,
        *,
        workers: int,
        listeners: Listeners,
        poll_guards: PollGuards | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.on_completed: Callable[[Ticket], object] = _ignore_completed
        self._schedule = schedule
        self._status_client = status_client
        self._max_workers = workers
        self._listeners = listeners
        self._poll_guards = poll_guards or PollGuards()
        self._jitter = jitter
        self._idle_workers: list[asyncio.Future[None]] = []
        self._workers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._wakeup = Wakeup()
        self._pending_drops: list[tuple[Sequence[Ticket], Watcher]] = []
        self._unfinished_drops = 0
        self._fatal_error: BaseException | None = None
        self._is_closing = False
        self._is_completing_refused = False
        self._task: asyncio.Task[None] | None = None

    def watch(
        self, ticket: Ticket, watcher: Watcher, initial_state: InitialState = _UNKNOWN_STATE
    ) -> None:
        """
        Poll a ticket until it ends, and tell the watcher how. The first call starts the poller.

        Raises:
            ValueError: The ticket's family is unknown or its key is missing.
        """
        tier, host = self._status_client.tier_and_host_of(ticket)
        if self._task is None:
            self._start()
        if self._fatal_error is not None:
            watcher.fail(self._fatal_error)
            return
        self._schedule.add(
            ticket,
            watcher,
            tier=tier,
            host=host,
            now=self._loop.time(),
            jitter=self._jitter(),
            eta=initial_state.eta,
            just_submitted=initial_state.just_submitted,
            expects_webhook=initial_state.expects_webhook,
        )
        self._arm_timer()

    def nudge(self, ticket: Ticket, *, gap: float = 0.0, is_hint: bool = False) -> None:
        """Look at an open ticket now. See `Schedule.nudge`."""
        if self._task is not None and self._schedule.nudge(
            ticket, self._loop.time(), gap, is_hint=is_hint
        ):
            self._arm_timer()

    def unwatch(self, ticket: Ticket, watcher: Watcher) -> None:
        """Stop waiting. A request on its way goes on; its reply is dropped."""
        self._schedule.drop(ticket, watcher)

    def unwatch_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        """Stop waiting for many, a few at a time, whatever becomes of who calls this."""
        if self._task is None:
            return
        self._pending_drops.append((tickets, watcher))
        self._unfinished_drops += 1
        self._wakeup.wake()

    @property
    def is_dropping(self) -> bool:
        """Whether some that nobody waits for any more may still be looked at."""
        return self._unfinished_drops > 0 and self._task is not None and not self._task.done()

    async def _drop_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        yielder = Yielder()
        for ticket in tickets:
            self._schedule.drop(ticket, watcher)
            await yielder.maybe_yield()
        self._unfinished_drops -= 1

    def last(self, ticket: Ticket) -> Processing | None:
        """The last reply for an open ticket."""
        return self._schedule.last(ticket)

    def time_out(self, ticket: Ticket, seconds: float | None) -> Unresolved:
        """The outcome for a caller who will not wait for any longer."""
        last, last_error = self._schedule.last(ticket), self._schedule.last_error(ticket)
        return timed_out(ticket, seconds or 0.0, last, last_error)

    async def aclose(self) -> None:
        """End every wait as unresolved, and the workers with it."""
        self._is_closing = True
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait((self._task,))
        while len(self._schedule):
            self._complete_some()
            await asyncio.sleep(0)

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(
            self._run(), name="modelslab_async poller", context=Context()
        )

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._arm_timer()
                while True:
                    await self._wakeup.wait()
                    self._start_tasks(group)
        except asyncio.CancelledError:
            self._fatal_error = _client_closed()
            # The loop itself is ending, and there is no time left to do it a few at a time.
            while len(self._schedule) and not self._is_closing:
                self._complete_some()
            raise
        except Exception as error:
            self._fatal_error = _first_error(error)
            _logger.exception("the poller broke")
        else:
            self._fatal_error = RuntimeError("a worker of the poller was cancelled from outside")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not self._is_closing and self._fatal_error is not None:
                for watcher in self._schedule.abandon():
                    watcher.fail(self._fatal_error)

    def _start_tasks(self, group: anyio.abc.TaskGroup) -> None:
        """Start what was asked for. Only here: a task group takes tasks from a task alone."""
        while self._pending_drops:
            group.start_soon(self._drop_all, *self._pending_drops.pop())
        if self._workers < self._max_workers and not self._idle_workers:
            self._workers += 1
            group.start_soon(self._run_worker)

    def _complete_some(self) -> None:
        for completion in self._schedule.close(
            _client_closed(), _COMPLETIONS_PER_YIELD, self._loop.time()
        ):
            self._notify(completion)

    async def _complete_refused(self) -> None:
        """End what a refusal met, a few in each turn of the loop, however many were refused."""
        if self._is_completing_refused:
            return
        self._is_completing_refused = True
        try:
            while self._schedule.has_pending_refusals:
                for completion in self._schedule.pop_refused(
                    _COMPLETIONS_PER_YIELD, self._loop.time()
                ):
                    self._notify(completion)
                await asyncio.sleep(0)
        finally:
            self._is_completing_refused = False

    async def _run_worker(self) -> None:
        while True:
            entry = self._schedule.take(self._loop.time())
            if entry is None:
                await self._wait_until_woken()
                continue
            self._arm_timer()
            if self._poll_guards.allows(entry.ticket):
                await self._poll_entry(entry)
            else:
                self._schedule.return_unpolled(entry, self._loop.time())
                await asyncio.sleep(0)

    async def _wait_until_woken(self) -> None:
        woken = self._loop.create_future()
        self._idle_workers.append(woken)
        self._arm_timer()
        await woken

    async def _poll_entry(self, entry: Entry) -> None:
        poll_started, due = entry.poll_started, entry.due
        try:
            result: Reply | CachedProcessing | ModelsLabError = await self._status_client.poll(
                entry.ticket
            )
        except ModelsLabError as error:
            result = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            result = TransportError("the exchange was cancelled from within", ticket=entry.ticket)
        now = self._loop.time()
        watchers = entry.watchers
        effects = self._schedule.feed(entry, result, now, self._jitter())
        for watcher in watchers:
            if watcher.wants_updates and isinstance(result, CachedProcessing | Processing):
                watcher.notify(as_processing(result, entry.ticket))
        if effects.paused is not None:
            _logger.warning(
                "trouble at %s, no look for %.1f s: %s",
                entry.host_queue.host,
                effects.paused,
                result,
            )
        if self._listeners:
            self._emit_events(
                entry, result, effects, overdue=poll_started - due, elapsed=now - poll_started
            )
        if effects.completion is not None:
            self._notify(effects.completion)
        if self._schedule.has_pending_refusals:
            await self._complete_refused()

    def _arm_timer(self) -> None:
        """Wake a worker if something is due, else set the timer to when something will be."""
        if not self._idle_workers and self._workers == self._max_workers:
            # Whoever is ready first sees to it.
            return
        when = self._schedule.next_poll_at()
        if when is None:
            return
        if when <= self._loop.time():
            self._wake_worker()
        elif self._timer is None or self._timer_due != when:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = when
            self._timer = self._loop.call_at(when, self._on_timer, context=Context())

    def _on_timer(self) -> None:
        self._timer = None
        self._arm_timer()

    def _wake_worker(self) -> None:
        while self._idle_workers:
            woken = self._idle_workers.pop()
            if not woken.done():
                woken.set_result(None)
                return
        if self._workers < self._max_workers:
            self._wakeup.wake()

    def _notify(self, completion: Completion) -> None:
        for watcher in completion.watchers:
            watcher.notify(completion.outcome)
        self.on_completed(completion.outcome.ticket)
        if self._listeners:
            self._listeners(
                Completed(
                    outcome=completion.outcome, polls=completion.polls, waited=completion.waited
                )
            )

    def _emit_events(
        self,
        entry: Entry,
        result: Reply | CachedProcessing | ModelsLabError,
        effects: Effects,
        *,
        overdue: float,
        elapsed: float,
    ) -> None:
        match result:
            case TransientError():
                self._listeners(
                    PollFailed(ticket=entry.ticket, error=result, failures=entry.failures)
                )
            case ModelsLabError():
                pass
            case _:
                reply = (
                    as_processing(result, entry.ticket)
                    if isinstance(result, CachedProcessing)
                    else result
                )
                self._listeners(
                    Polled(ticket=entry.ticket, reply=reply, elapsed=elapsed, overdue=overdue)
                )
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._listeners(
                Paused(tier=entry.host_queue.tier, seconds=effects.paused, cause=result)
            )


def _ignore_completed(_: Ticket) -> None:
    """What is called where there are no slots to free."""


def _client_closed() -> ClientClosed:
    return ClientClosed("the client was closed; wait for the ticket again to resume")


def _first_error(error: Exception) -> BaseException:
    """What broke first: workers that break on the same thing come as a group of it."""
    found: BaseException = error
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
