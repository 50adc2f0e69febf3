"""Shift: a run under one lease. It claims, has the client look, and commits before it tells."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from attrs import define

from .._client import Client
from .._journal.tickets import End, Note
from .._models.errors import JournalError
from .._models.events import Event, Faulted, Looked
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket
from ..journal import Journal
from .pace_store import Memory
from .run import GROUP, Stop, beat_of, rest_of

_logger = logging.getLogger("modelslab_async")

# So many tickets are claimed at once, at the most.
_CLAIM: Final = 500


@define(eq=False)
class _Held:
    """
    A ticket of this shift: its number in the journal, and what is not noted there yet.

    It was last `seen` running by a look that began then, and noticed to be over so `late` after
    that at the most.
    """

    number: int
    looks: int = 0
    last: Processing | None = None
    seen: float | None = None
    late: float | None = None


class Shift:
    """
    The work of one run on one journal, from when it begins until it is closed.

    Args:
        run: The run's number.
        before: What runs before this one left unresolved is taken up.
        lease: For how many seconds tickets stay this run's if the process dies.
        owing: Whether the files of successes are to be saved.

    Attributes:
        run: The run's number.
        lapsed: Whether another run has ended this one's lease.
        left: Whether what was open could be left to others.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        *,
        run: int,
        before: int,
        lease: float,
        owing: bool = False,
    ) -> None:
        self.run = run
        self.lapsed = False
        self.left = False
        self._client = client
        self._journal = journal
        self._before = before
        self._lease = lease
        self._owing = owing
        # The batch belongs to the house: it keeps what the client's pace learns.
        self._memory = Memory(client._pace, journal)  # noqa: SLF001
        self._held: dict[Ticket, _Held] = {}
        self._renewed(self._now())
        self._strange: ValueError | None = None
        self._queue: asyncio.Queue[Outcome | Stop] = asyncio.Queue(GROUP)
        self._stop: Stop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *, timeout: float | None, window: int) -> None:
        """Begin to look."""
        # The batch belongs to the house: it hears of looks beside the caller's own `on_event`.
        self._client._hearers.join(self._hear)  # noqa: SLF001
        self._client._guards.join(self._may_look)  # noqa: SLF001
        looking = asyncio.create_task(self._look(timeout, window), name="modelslab_async batch")
        beating = asyncio.create_task(self._beat(looking), name="modelslab_async lease")
        self._tasks = [looking, beating]

    async def settled(self) -> list[Outcome] | None:
        """
        Some outcomes, committed; None when there will be no more.

        Raises:
            JournalError: The journal cannot be written. What was not committed is not told.
        """
        while self._stop is None:
            ready = await self._ready()
            if outcomes := await self._commit(ready):
                return outcomes
        if self._stop.error is not None:
            raise self._stop.error
        return None

    def drain(self) -> None:
        """Look no more, and end when what was seen so far is committed and told."""
        draining = asyncio.create_task(self._drain(self._tasks[0]), name="modelslab_async drain")
        self._tasks.append(draining)

    async def _drain(self, looking: asyncio.Task[None]) -> None:
        looking.cancel()
        await self._queue.put(Stop())

    async def close(self) -> None:
        """Stop looking, and leave to others what is open."""
        self._client._hearers.leave(self._hear)  # noqa: SLF001
        for task in self._tasks:
            task.cancel()
        # Whoever still waits for outcomes, in another task, is not left waiting.
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(Stop(JournalError("the batch was closed; open it again")))
        try:
            await asyncio.wait(self._tasks)
            await self._client._left()  # noqa: SLF001
        finally:
            self._client._guards.leave(self._may_look)  # noqa: SLF001
            await self._leave()
        await self._memory.keep()

    async def _leave(self) -> None:
        try:
            await self._journal.end(self.run, self._notes())
            self.left = True
        except JournalError as error:
            _logger.warning("what was open stays leased for up to %g s: %s", self._lease, error)

    async def _ready(self) -> list[Outcome]:
        """What has come, one at least unless it is the end."""
        # A caller who dies has not seen as many as share a commit.
        ready: list[Outcome] = []
        while len(ready) < GROUP and (not ready or not self._queue.empty()):
            news = await self._queue.get()
            if isinstance(news, Stop):
                self._stop = news
                break
            ready.append(news)
        return ready

    async def _commit(self, ready: list[Outcome]) -> list[Outcome]:
        """Write outcomes down. Those that another run was first to write are its to tell."""
        ends: list[End] = []
        for outcome in ready:
            held = self._held.pop(outcome.ticket)
            late = None if isinstance(outcome, Unresolved) else held.late
            ends.append(End(held.number, held.looks, outcome, late))
        if not ends:
            return []
        mine = await self._journal.settle(self.run, ends, owing=self._owing)
        # What is not this run's any more was taken by whoever ended its lease.
        self.lapsed |= not all(mine)
        return [outcome for outcome, won in zip(ready, mine, strict=True) if won]

    async def _look(self, timeout: float | None, window: int) -> None:
        error: Exception | None = None
        stream = self._client.stream(self._claimed(window), timeout=timeout, window=window)
        try:
            await self._memory.recall()
            async with aclosing(stream):
                async for outcome in stream:
                    await self._queue.put(outcome)
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        await self._queue.put(Stop(error or self._strange))

    async def _claimed(self, window: int) -> AsyncGenerator[Ticket, None]:
        """Tickets, as far as the window takes them, until nobody holds an open one any more."""
        waiting = False
        while True:
            asked = self._now()
            claim = await self._journal.claim(
                self.run, before=self._before, most=min(window, _CLAIM), lease=self._lease
            )
            if claim is None:
                self.lapsed = True
                return
            self._renewed(asked)
            known = [(number, ticket) for number, ticket in claim.tickets if self._knows(ticket)]
            self._held |= {ticket: _Held(number) for number, ticket in known}
            for _, ticket in known:
                yield ticket
            if not claim.tickets:
                if not claim.others:
                    return
                # Another process has them. If it dies, they are for this one.
                if not waiting:
                    waiting = True
                    _logger.info("waiting for tickets that other processes of this batch look at")
                await asyncio.sleep(rest_of(self._lease))

    def _knows(self, ticket: Ticket) -> bool:
        """Whether the client can ask about it; if not, it is told once all others have ended."""
        try:
            self._client._looker.family_of(ticket)  # noqa: SLF001 -- of the house.
        except ValueError as fault:
            self._strange = fault
            return False
        return True

    async def _beat(self, looking: asyncio.Task[None]) -> None:
        """Renew the lease; once it is lost, look no more."""
        error: Exception | None = None
        try:
            await self._keep()
            self.lapsed = True
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        looking.cancel()
        await self._queue.put(Stop(error))

    async def _keep(self) -> None:
        """Renew until another run has ended this one's lease."""
        while True:
            await asyncio.sleep(beat_of(self._lease))
            asked = self._now()
            try:
                if not await self._journal.renew(self.run, lease=self._lease):
                    return
                self._renewed(asked)
                await self._journal.note(self.run, self._notes())
                await self._memory.keep()
            except JournalError as error:
                if self._is_over():
                    raise
                _logger.warning("the lease could not be renewed, trying again: %s", error)

    def _now(self) -> tuple[float, float]:
        """The time of this run, which nobody sets, and that of the journal, which others go by."""
        return asyncio.get_running_loop().time(), self._journal.clock()

    def _renewed(self, asked: tuple[float, float]) -> None:
        self._until = asked[0] + self._lease, asked[1] + self._lease

    def _is_over(self) -> bool:
        """Whether others may have ended the lease by now, unless it is renewed."""
        return any(now >= until for now, until in zip(self._now(), self._until, strict=True))

    def _may_look(self, ticket: Ticket) -> bool:
        """Who stood still for longer than the lease looks again once it is renewed."""
        return ticket not in self._held or not self._is_over()

    def _hear(self, event: Event) -> None:
        match event:
            case Looked(ticket=ticket, reply=reply, took=took) if held := self._held.get(ticket):
                held.looks += 1
                now = asyncio.get_running_loop().time()
                if isinstance(reply, Processing):
                    held.last, held.seen = reply, now - took
                elif held.seen is not None:
                    held.late = now - held.seen
            case Faulted(ticket=ticket) if held := self._held.get(ticket):
                held.looks += 1
            case _:
                pass

    def _notes(self) -> list[Note]:
        notes: list[Note] = []
        for held in self._held.values():
            if held.looks:
                notes.append(Note(held.number, held.looks, held.last))
                held.looks, held.last = 0, None
        return notes
