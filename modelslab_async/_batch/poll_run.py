"""PollRun: polls tickets under a lease. It commits each outcome before returning it."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from .._engine.engine import Engine
from .._engine.outcome_stream import stream_outcomes
from .._journal.lease_rows import Claim
from .._models.journal_errors import JournalError
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome
from .._scheduling.adaptive.adaptive_pace import AdaptivePace
from .._scheduling.pace_protocol import PacePolicy
from ..journal import Journal
from .leased_tickets import Lease, LeasedTickets, TicketFeed, recheck_interval
from .run_protocol import MAX_READY, RunStopped, closed_error

_logger = logging.getLogger("modelslab_async")

# The maximum number of tickets in one claim.
MAX_CLAIM: Final = 500


class PollRun:
    """
    A run that claims tickets of a journal under a lease and polls them.

    Args:
        engine: Polls the tickets.
        journal: The journal with the tickets.
        run_id: The run's number.
        before_run: A run's number. Tickets left unresolved by runs with lower numbers are polled
            again.
        lease: The seconds for which claimed tickets stay reserved for this run if the process dies.
        save_files: Whether to queue successes, so that a `SaveRun` saves their files.
        feed: Announces tickets that are added during the run; None if none are added.

    Attributes:
        run_id: The run's number.
        lease: The lease of the run.
        has_lost_lease: Whether another run has ended this run's lease.
        is_released: Whether this run has made its open tickets free for other runs.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        run_id: int,
        before_run: int,
        lease: float,
        save_files: bool = False,
        feed: TicketFeed | None = None,
    ) -> None:
        self.run_id = run_id
        self.has_lost_lease = False
        self.is_released = False
        self._engine = engine
        self._journal = journal
        self._before_run = before_run
        self.lease = Lease(journal, run_id, lease)
        self._feed = feed or TicketFeed(is_closed=True)
        self._has_news = asyncio.Event()
        self._pace_store = _PaceStore(engine.pace, journal)
        self._tickets = LeasedTickets(journal, run_id, save_files=save_files)
        self.ticket_error: ValueError | None = None
        self._queue: asyncio.Queue[Outcome | RunStopped] = asyncio.Queue(MAX_READY)
        self._stopped: RunStopped | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *, timeout: float | None, window: int) -> None:
        """Start polling and renewing the lease."""
        self._engine.listeners.add(self._tickets.on_event)
        self._feed.subscribe(self._has_news.set)
        self._engine.poller.poll_guards.append(self._may_poll)
        polling = asyncio.create_task(self._poll(timeout, window), name="modelslab_async batch")
        renewing = asyncio.create_task(self._hold_lease(polling), name="modelslab_async lease")
        self._tasks = [polling, renewing]

    async def next_results(self) -> list[Outcome] | None:
        """
        Wait for outcomes, commit them and return them. Return None after the last.

        Raises:
            JournalError: The journal cannot be written. Uncommitted outcomes are not returned.
        """
        while self._stopped is None:
            ready = await self._next_ready()
            outcomes = await self._tickets.commit(ready) if ready else []
            # If an outcome was not recorded, another run has ended the lease and taken the ticket.
            self.has_lost_lease |= len(outcomes) < len(ready)
            if outcomes:
                return outcomes
        if self._stopped.is_closed:
            raise closed_error()
        if self._stopped.error is not None:
            raise self._stopped.error
        return None

    def drain(self) -> None:
        """Stop polling. The run ends once the outcomes that are ready have been returned."""
        draining = asyncio.create_task(self._drain(self._tasks[0]), name="modelslab_async drain")
        self._tasks.append(draining)

    async def _drain(self, polling: asyncio.Task[None]) -> None:
        polling.cancel()
        await self._queue.put(RunStopped())

    async def close(self) -> None:
        """Stop polling, and release the open tickets."""
        self._engine.listeners.remove(self._tickets.on_event)
        self._feed.unsubscribe(self._has_news.set)
        for task in self._tasks:
            task.cancel()
        # Wake the task that waits for outcomes. A full queue has outcomes, so no task waits then.
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(RunStopped(is_closed=True))
        try:
            await asyncio.wait(self._tasks)
            await self._engine.wait_for_drops()
        finally:
            self._engine.poller.poll_guards.remove(self._may_poll)
            await self._release()
        if self.is_released:
            await self._pace_store.save()

    async def _release(self) -> None:
        try:
            await self._journal.leases.end_run(
                self.run_id, self._tickets.take_updates(), is_leaving=True
            )
            self.is_released = True
        except JournalError as error:
            _logger.warning(
                "open tickets stay leased for up to %g s: %s", self.lease.duration, error
            )

    async def _next_ready(self) -> list[Outcome]:
        """Wait for an outcome. Return all ready outcomes, or an empty list at the run's end."""
        ready: list[Outcome] = []
        # If the process dies just after a commit, the caller does not get these outcomes. So commit
        # only a few at a time.
        while len(ready) < MAX_READY and (not ready or not self._queue.empty()):
            item = await self._queue.get()
            if isinstance(item, RunStopped):
                self._stopped = item
                break
            ready.append(item)
        return ready

    async def _poll(self, timeout: float | None, window: int) -> None:
        error: BaseException | None = None
        # With `recent=0`, the stream remembers no outcomes. If this run claims a ticket again, the
        # journal has reopened the ticket, so its earlier outcome is no longer valid.
        stream = stream_outcomes(
            self._engine, self._claim_tickets(window), timeout=timeout, window=window, recent=0
        )
        try:
            await self._pace_store.restore()
            async with aclosing(stream):
                async for outcome in stream:
                    await self._queue.put(outcome)
        except asyncio.CancelledError:
            raise
        except BaseException as raised:  # noqa: BLE001 -- `next_results` raises it.
            error = raised
        await self._queue.put(RunStopped(error or self.ticket_error))

    async def _claim_tickets(self, window: int) -> AsyncGenerator[Ticket, None]:
        """Claim and yield tickets until the feed is closed and there is nothing to wait for."""
        has_logged = False
        while True:
            self._has_news.clear()
            is_complete = self._feed.is_closed
            requested_at = self.lease.now()
            claim = await self.lease.retry_while_locked(partial(self._claim, window))
            if claim is None:
                self.has_lost_lease = True
                return
            self.lease.mark_renewed(requested_at)
            pollable = [each for each in claim.tickets if self._can_poll(each.ticket)]
            self._tickets.add(pollable)
            for each in pollable:
                yield each.ticket
            if claim.tickets:
                continue
            if is_complete and not self._waits_for_others(claim):
                return
            if is_complete and not has_logged:
                has_logged = True
                _logger.info("waiting for tickets that other processes of this batch poll")
            await self._wait_for_news(recheck=claim.has_others)
            if self._feed.is_draining:
                return

    def _waits_for_others(self, claim: Claim) -> bool:
        """
        Whether to wait for the open tickets of other runs. If a run dies, this run takes them over.

        Once this run has claimed a ticket that its client cannot poll, it waits only while it has
        other tickets to poll. Otherwise, two such runs would wait for each other forever.
        """
        return claim.has_others and (self.ticket_error is None or not self._tickets.is_empty)

    async def _wait_for_news(self, *, recheck: bool) -> None:
        """
        Wait until a ticket is added, or until no more tickets can be added.

        If `recheck` is true, wait no longer than the recheck interval. If another process has died
        by then, this run can claim that process's tickets.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(recheck_interval(self.lease.duration) if recheck else None):
                await self._has_news.wait()

    async def _claim(self, window: int) -> Claim | None:
        return await self._journal.leases.claim(
            self.run_id,
            before_run=self._before_run,
            limit=min(window, MAX_CLAIM),
            lease=self.lease.duration,
        )

    def _can_poll(self, ticket: Ticket) -> bool:
        """Return whether this client can poll a ticket. If not, the run will end with an error."""
        try:
            self._engine.status_client.check_pollable(ticket)
        except ValueError as error:
            self.ticket_error = error
            return False
        return True

    async def _hold_lease(self, polling: asyncio.Task[None]) -> None:
        """Renew the lease at intervals. Stop polling once the lease is lost."""
        error: BaseException | None = None
        try:
            await self.lease.renew_until_lost(self._on_renewed)
            self.has_lost_lease = True
        except asyncio.CancelledError:
            raise
        except BaseException as raised:  # noqa: BLE001 -- `next_results` raises it.
            error = raised
        polling.cancel()
        await self._queue.put(RunStopped(error))

    async def _on_renewed(self) -> None:
        await self._journal.leases.record_polls(self.run_id, self._tickets.take_updates())
        await self._pace_store.save()

    def _may_poll(self, ticket: Ticket) -> bool:
        """
        Whether the poller may poll a ticket.

        Once the lease of this run is over, the poller may not poll the tickets of this run.
        """
        return ticket not in self._tickets or not self.lease.is_over


class _PaceStore:
    """
    Saves what an adaptive pace has learned, and restores it in a later run.

    An adaptive pace learns from earlier jobs when to poll. With any other pace, this object does
    nothing. An error of the journal does not end the run. The run can do without the saved state,
    but polls more often until the pace has learned again.
    """

    def __init__(self, pace: PacePolicy, journal: Journal) -> None:
        self._pace = pace if isinstance(pace, AdaptivePace) else None
        self._journal = journal

    async def restore(self) -> None:
        """Load the saved state into the adaptive pace, unless the pace has already learned."""
        if self._pace is None or self._pace.has_learned:
            return
        try:
            state = await self._journal.load_pace()
            # Check again, because the pace may have learned something while this task read the
            # journal.
            if state is not None and not self._pace.has_learned:
                self._pace.restore(state)
        except (JournalError, ValueError) as error:
            _logger.warning("what the journal's pace had learned is ignored: %s", error)

    async def save(self) -> None:
        """Save what the adaptive pace has learned, if anything."""
        if self._pace is None or not self._pace.has_learned:
            return
        try:
            await self._journal.save_pace(self._pace.to_dict())
        except JournalError as error:
            _logger.warning("what the pace has learned is not saved: %s", error)
