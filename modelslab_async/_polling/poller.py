"""
Poller: the task group that polls due tickets and notifies their watchers.

The schedule decides which ticket is due. A watcher tells a caller how the ticket ended. A slow
caller does not delay polls.

    caller ──watch──> schedule ──take──> worker ──poll──> status client
                          ^                 │
                          └──────feed───────┘──notify──> watchers

The workers own the requests, so a caller that stops waiting cancels no request. An error of one
ticket ends only that ticket. Only a defect in the schedule itself stops the poller.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextvars import Context

import anyio
import anyio.abc

from .._aio.listeners import Listeners
from .._aio.telemetry import Telemetry, traced
from .._aio.yield_and_wakeup import Wakeup, is_cancelled
from .._models.error_copies import own_copy
from .._models.errors import ClientClosed, ModelsLabError, TransportError
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Unresolved
from .._parsing.reply import CachedProcessing
from .._scheduling.host_queue import Entry
from .._scheduling.initial_ticket_facts import NO_FACTS, InitialTicketFacts
from .._scheduling.schedule import Schedule
from .._scheduling.watcher_protocol import Watcher
from .idle_workers import IdleWorkers
from .internal_errors import log_unexpected, poller_error, ticket_error
from .status_client import TicketStatusClient
from .watchers import Notifier, WatcherRemoval, callers_of, timed_out

_logger = logging.getLogger("modelslab_async")

# The maximum number of tickets that are ended before the poller yields to other tasks.
_COMPLETIONS_PER_YIELD = 256


class Poller:
    """
    Polls all open tickets of one client, in a task of its own.

    Attributes:
        notifier: Passes replies and outcomes to watchers and listeners, and frees slots.
        telemetry: Makes a span for each poll; None for no spans.
        poll_guards: Functions that may delay a poll. A ticket is polled only if all of them return
            True.
        on_first_ticket: Called before a ticket is added to an empty schedule; None for no call.

    Args:
        schedule: Decides which ticket is polled when.
        status_client: Polls one ticket once.
        workers: The maximum number of polls in flight.
        listeners: Called with each event.
        jitter: Returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        schedule: Schedule,
        status_client: TicketStatusClient,
        *,
        workers: int,
        listeners: Listeners,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._schedule = schedule
        self._status_client = status_client
        self._max_workers = workers
        self.notifier = Notifier(listeners, schedule.policy.limits)
        self.telemetry: Telemetry | None = None
        self.poll_guards: list[Callable[[Ticket], bool]] = []
        self.on_first_ticket: Callable[[], object] | None = None
        self._jitter = jitter
        self._wakeup = Wakeup()
        self._drops = WatcherRemoval(self.unwatch)
        self._fatal_error: BaseException | None = None
        self._is_closing = False
        self._is_completing_refused = False
        self._task: asyncio.Task[None] | None = None

    def watch(self, ticket: Ticket, watcher: Watcher, facts: InitialTicketFacts = NO_FACTS) -> bool:
        """
        Poll a ticket until it ends, and notify the watcher. The first call starts the poller.

        Returns:
            False if the poller has stopped or the pace raised an exception. Then the ticket is not
            polled, and the watcher gets the error.

        Raises:
            ValueError: The ticket is invalid, or the client has no API key for the ticket's family.
        """
        tier, host = self._status_client.tier_and_host_of(ticket)
        if self._task is None:
            self._start()
        if self._fatal_error is not None:
            watcher.fail(own_copy(self._fatal_error))
            return False
        if self.on_first_ticket is not None and not len(self._schedule):
            self.on_first_ticket()
        now = self._loop.time()
        try:
            self._schedule.add(
                ticket, watcher, tier=tier, host=host, now=now, jitter=self._jitter(), facts=facts
            )
        except Exception as error:  # noqa: BLE001 -- a caller's pace may raise anything.
            watcher.notify(Unresolved(ticket=ticket, cause=ticket_error(ticket, error)))
            return False
        if not self._pool.is_settled:
            self._pool.arm(now)
        return True

    def nudge(self, ticket: Ticket, *, gap: float = 0.0, is_hint: bool = False) -> None:
        """Make an open ticket due now. Keep hints, such as webhooks, `gap` seconds apart."""
        if self._task is not None and self._schedule.nudge(
            ticket, self._loop.time(), gap, is_hint=is_hint
        ):
            self._pool.arm()

    def rearm(self) -> None:
        """Set the timer again. Call this method when the next poll may start sooner than before."""
        if self._task is not None:
            self._pool.arm()

    def give_up_polls(self, age_s: float) -> None:
        """Cancel polls that began at least `age_s` seconds ago, as if they had timed out."""
        self._status_client.give_up_polls(asyncio.get_running_loop().time(), age_s)

    def unwatch(self, ticket: Ticket, watcher: Watcher) -> None:
        """Remove a watcher from one ticket. A poll that is in flight goes on."""
        if (pace_error := self._schedule.drop(ticket, watcher)) is not None:
            log_unexpected(ticket, pace_error)

    def unwatch_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        """Remove a watcher from tickets, a few at a time. Meanwhile, it may still get outcomes."""
        if self._task is not None and not self._task.done():
            self._drops.add(tickets, watcher)
            self._wakeup.wake()

    @property
    def is_dropping(self) -> bool:
        """Whether watchers that were passed to `unwatch_all` are still being removed."""
        return bool(self._drops) and self._task is not None and not self._task.done()

    def last(self, ticket: Ticket) -> Processing | None:
        """Return the latest reply for an open ticket; None if there is no reply."""
        return self._schedule.last(ticket)

    def time_out(self, ticket: Ticket, seconds: float | None) -> Unresolved:
        """Return an `Unresolved` outcome for a caller whose timeout has passed."""
        last, last_error = self._schedule.last(ticket), self._schedule.last_error(ticket)
        return timed_out(ticket, seconds or 0.0, last, last_error)

    def stop(self, error: BaseException) -> None:
        """Stop polling, and raise this error for all current and later callers."""
        self._fatal_error = error
        self._wakeup.wake()

    async def aclose(self) -> None:
        """Stop polling. Every open ticket becomes unresolved."""
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
        self._pool = IdleWorkers(
            self._schedule.next_poll_at, size=self._max_workers, request_worker=self._wakeup.wake
        )
        self._task = self._loop.create_task(
            self._run(), name="modelslab_async poller", context=Context()
        )

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._pool.arm()
                while self._fatal_error is None:
                    await self._wakeup.wait()
                    self._start_tasks(group)
                group.cancel_scope.cancel()
        except asyncio.CancelledError:
            self._fatal_error = _client_closed()
            # If `aclose` did not cancel this task, the loop is closing: no other task ends tickets.
            while len(self._schedule) and not self._is_closing:
                self._complete_some()
            raise
        except BaseException as error:
            self._fatal_error = poller_error(error)
            _logger.exception("the poller has stopped")
        else:
            self._fatal_error = self._fatal_error or poller_error(None)
        finally:
            self._pool.cancel_timer()
            if not self._is_closing and self._fatal_error is not None:
                for watcher in self._schedule.abandon():
                    watcher.fail(own_copy(self._fatal_error))

    def _start_tasks(self, group: anyio.abc.TaskGroup) -> None:
        # A task inherits the context variables of the task that starts it. So the poller's own task
        # starts all other tasks: they must not get a caller's variables.
        self._drops.start(group)
        if self._pool.try_add_worker():
            group.start_soon(self._run_worker)

    def _complete_some(self) -> None:
        for completion in self._schedule.close(
            _client_closed(), _COMPLETIONS_PER_YIELD, self._loop.time(), self._drops.leaving
        ):
            self.notifier.report_completion(completion)

    async def _complete_refused(self) -> None:
        """End the tickets whose polls the server refuses, a few in each event loop iteration."""
        if self._is_completing_refused:
            return
        self._is_completing_refused = True
        try:
            while self._schedule.has_pending_refusals:
                for completion in self._schedule.pop_refused(
                    _COMPLETIONS_PER_YIELD, self._loop.time()
                ):
                    self.notifier.report_completion(completion)
                await asyncio.sleep(0)
        finally:
            self._is_completing_refused = False

    async def _run_worker(self) -> None:
        while True:
            now = self._loop.time()
            entry = self._schedule.take(now)
            if entry is None:
                await self._pool.wait_until_woken()
                continue
            if not self._pool.is_settled:
                self._pool.arm(now)
            await self._poll_entry(entry)
            if self._schedule.hosts.has_pending_refusals:
                await self._complete_refused()

    async def _poll_entry(self, entry: Entry) -> None:
        """Poll one ticket. An unexpected error ends the ticket, and the worker goes on."""
        try:
            if self.poll_guards and not all(allows(entry.ticket) for allows in self.poll_guards):
                self._schedule.return_unpolled(entry, self._loop.time())
                await asyncio.sleep(0)
                return
            poll_started, due = entry.poll_started, entry.due
            try:
                poll = self._status_client.poll(entry.ticket)
                if self.telemetry is not None:
                    callers = callers_of(entry.watchers)
                    poll = traced(
                        *(self.telemetry, "modelslab.poll", poll),
                        ticket=entry.ticket,
                        callers=callers,
                    )
                result: Reply | CachedProcessing | ModelsLabError = await poll
            except ModelsLabError as error:
                result = error
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                # This task was not cancelled, but something that the transport awaited was. So the
                # poll has failed.
                result = TransportError("the transport was cancelled", ticket=entry.ticket)
            now = self._loop.time()
            watchers = entry.watchers
            effects = self._schedule.feed(entry, result, now, self._jitter())
            self.notifier.report_poll(
                entry, watchers, result, effects, due=due, started_at=poll_started, read_at=now
            )
            if effects.completion is not None:
                self.notifier.report_completion(effects.completion)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if is_cancelled():
                raise
            cause = ticket_error(entry.ticket, error)
            completion = self._schedule.end_unresolved(entry, cause, self._loop.time())
            if completion is not None:
                self.notifier.report_completion(completion)


def _client_closed() -> ClientClosed:
    return ClientClosed("the client was closed; wait for the ticket again to resume")
