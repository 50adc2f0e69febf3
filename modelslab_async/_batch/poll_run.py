"""Shift: a run under one lease. It claims, has the client look, and commits before it tells."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from attrs import define

from .._engine.engine import Engine
from .._engine.streams import stream_outcomes
from .._journal.tickets import Completion, PollUpdate
from .._models.events import Event, Polled, PollFailed
from .._models.journal_errors import JournalError
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket
from ..journal import Journal
from .pace_store import PaceStore
from .run import MAX_READY, RunStopped, recheck_interval, renewal_interval

_logger = logging.getLogger("modelslab_async")

# So many tickets are claimed at once, at the most.
_MAX_CLAIM: Final = 500


@define(eq=False)
class _OpenTicket:
    """
    A ticket of this shift: its number in the journal, and what is not noted there yet.

    It was last `seen` running by a look that began then, and noticed to be over so `late` after
    that at the most.
    """

    row_id: int
    polls: int = 0
    last: Processing | None = None
    last_running_at: float | None = None
    max_lag: float | None = None


class PollRun:
    """
    The work of one run on one journal, from when it begins until it is closed.

    Args:
        run_id: The run's number.
        before_run: What runs before this one left unresolved is taken up.
        lease: For how many seconds tickets stay this run's if the process dies.
        save_files: Whether the files of successes are to be saved.

    Attributes:
        run_id: The run's number.
        has_lost_lease: Whether another run has ended this one's lease.
        is_released: Whether what was open could be left to others.
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
    ) -> None:
        self.run_id = run_id
        self.has_lost_lease = False
        self.is_released = False
        self._engine = engine
        self._journal = journal
        self._before_run = before_run
        self._lease = lease
        self._save_files = save_files
        self._pace_store = PaceStore(engine.pace, journal)
        self._open_tickets: dict[Ticket, _OpenTicket] = {}
        self._mark_renewed(self._now())
        self._family_error: ValueError | None = None
        self._queue: asyncio.Queue[Outcome | RunStopped] = asyncio.Queue(MAX_READY)
        self._stopped: RunStopped | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *, timeout: float | None, window: int) -> None:
        """Begin to look."""
        self._engine.listeners.add(self._on_event)
        self._engine.poll_guards.add(self._may_poll)
        polling = asyncio.create_task(self._poll(timeout, window), name="modelslab_async batch")
        renewing = asyncio.create_task(self._hold_lease(polling), name="modelslab_async lease")
        self._tasks = [polling, renewing]

    async def next_results(self) -> list[Outcome] | None:
        """
        Some outcomes, committed; None when there will be no more.

        Raises:
            JournalError: The journal cannot be written. What was not committed is not told.
        """
        while self._stopped is None:
            ready = await self._next_ready()
            if outcomes := await self._commit(ready):
                return outcomes
        if self._stopped.error is not None:
            raise self._stopped.error
        return None

    def drain(self) -> None:
        """Look no more, and end when what was seen so far is committed and told."""
        draining = asyncio.create_task(self._drain(self._tasks[0]), name="modelslab_async drain")
        self._tasks.append(draining)

    async def _drain(self, polling: asyncio.Task[None]) -> None:
        polling.cancel()
        await self._queue.put(RunStopped())

    async def close(self) -> None:
        """Stop looking, and leave to others what is open."""
        self._engine.listeners.remove(self._on_event)
        for task in self._tasks:
            task.cancel()
        # Whoever still waits for outcomes, in another task, is not left waiting.
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(RunStopped(JournalError("the batch was closed; open it again")))
        try:
            await asyncio.wait(self._tasks)
            await self._engine.wait_for_drops()
        finally:
            self._engine.poll_guards.remove(self._may_poll)
            await self._release()
        await self._pace_store.save()

    async def _release(self) -> None:
        try:
            await self._journal.leases.end_run(self.run_id, self._take_updates())
            self.is_released = True
        except JournalError as error:
            _logger.warning("what was open stays leased for up to %g s: %s", self._lease, error)

    async def _next_ready(self) -> list[Outcome]:
        """What has come, one at least unless it is the end."""
        # A caller who dies has not seen as many as share a commit.
        ready: list[Outcome] = []
        while len(ready) < MAX_READY and (not ready or not self._queue.empty()):
            item = await self._queue.get()
            if isinstance(item, RunStopped):
                self._stopped = item
                break
            ready.append(item)
        return ready

    async def _commit(self, ready: list[Outcome]) -> list[Outcome]:
        """Write outcomes down. Those that another run was first to write are its to tell."""
        completions: list[Completion] = []
        for outcome in ready:
            entry = self._open_tickets.pop(outcome.ticket)
            max_lag = None if isinstance(outcome, Unresolved) else entry.max_lag
            completions.append(Completion(entry.row_id, entry.polls, outcome, max_lag))
        if not completions:
            return []
        written = await self._journal.leases.complete(
            self.run_id, completions, save_files=self._save_files
        )
        # What is not this run's any more was taken by whoever ended its lease.
        self.has_lost_lease |= not all(written)
        return [outcome for outcome, is_written in zip(ready, written, strict=True) if is_written]

    async def _poll(self, timeout: float | None, window: int) -> None:
        error: Exception | None = None
        stream = stream_outcomes(
            self._engine, self._claim_tickets(window), timeout=timeout, window=window
        )
        try:
            await self._pace_store.restore()
            async with aclosing(stream):
                async for outcome in stream:
                    await self._queue.put(outcome)
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        await self._queue.put(RunStopped(error or self._family_error))

    async def _claim_tickets(self, window: int) -> AsyncGenerator[Ticket, None]:
        """Tickets, as far as the window takes them, until nobody holds an open one any more."""
        has_logged = False
        while True:
            requested_at = self._now()
            claim = await self._journal.leases.claim(
                self.run_id,
                before_run=self._before_run,
                limit=min(window, _MAX_CLAIM),
                lease=self._lease,
            )
            if claim is None:
                self.has_lost_lease = True
                return
            self._mark_renewed(requested_at)
            known = [
                (row_id, ticket)
                for row_id, ticket in claim.tickets
                if self._has_known_family(ticket)
            ]
            self._open_tickets |= {ticket: _OpenTicket(row_id) for row_id, ticket in known}
            for _, ticket in known:
                yield ticket
            if not claim.tickets:
                if not claim.has_others:
                    return
                # Another process has them. If it dies, they are for this one.
                if not has_logged:
                    has_logged = True
                    _logger.info("waiting for tickets that other processes of this batch look at")
                await asyncio.sleep(recheck_interval(self._lease))

    def _has_known_family(self, ticket: Ticket) -> bool:
        """Whether the client can ask about it; if not, it is told once all others have ended."""
        try:
            self._engine.status_client.family_of(ticket)
        except ValueError as error:
            self._family_error = error
            return False
        return True

    async def _hold_lease(self, polling: asyncio.Task[None]) -> None:
        """Renew the lease; once it is lost, look no more."""
        error: Exception | None = None
        try:
            await self._renew_lease()
            self.has_lost_lease = True
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        polling.cancel()
        await self._queue.put(RunStopped(error))

    async def _renew_lease(self) -> None:
        """Renew until another run has ended this one's lease."""
        while True:
            await asyncio.sleep(renewal_interval(self._lease))
            requested_at = self._now()
            try:
                if not await self._journal.leases.renew(self.run_id, lease=self._lease):
                    return
                self._mark_renewed(requested_at)
                await self._journal.leases.record_polls(self.run_id, self._take_updates())
                await self._pace_store.save()
            except JournalError as error:
                if self._is_lease_over():
                    raise
                _logger.warning("the lease could not be renewed, trying again: %s", error)

    def _now(self) -> tuple[float, float]:
        """The time of this run, which nobody sets, and that of the journal, which others go by."""
        return asyncio.get_running_loop().time(), self._journal.clock()

    def _mark_renewed(self, requested_at: tuple[float, float]) -> None:
        self._lease_until = requested_at[0] + self._lease, requested_at[1] + self._lease

    def _is_lease_over(self) -> bool:
        """Whether others may have ended the lease by now, unless it is renewed."""
        return any(
            now >= expires_at
            for now, expires_at in zip(self._now(), self._lease_until, strict=True)
        )

    def _may_poll(self, ticket: Ticket) -> bool:
        """Who stood still for longer than the lease looks again once it is renewed."""
        return ticket not in self._open_tickets or not self._is_lease_over()

    def _on_event(self, event: Event) -> None:
        match event:
            case Polled(ticket=ticket, reply=reply, elapsed=elapsed) if (
                entry := self._open_tickets.get(ticket)
            ):
                entry.polls += 1
                now = asyncio.get_running_loop().time()
                if isinstance(reply, Processing):
                    entry.last, entry.last_running_at = reply, now - elapsed
                elif entry.last_running_at is not None:
                    entry.max_lag = now - entry.last_running_at
            case PollFailed(ticket=ticket) if entry := self._open_tickets.get(ticket):
                entry.polls += 1
            case _:
                pass

    def _take_updates(self) -> list[PollUpdate]:
        updates: list[PollUpdate] = []
        for entry in self._open_tickets.values():
            if entry.polls:
                updates.append(PollUpdate(entry.row_id, entry.polls, entry.last))
                entry.polls, entry.last = 0, None
        return updates
