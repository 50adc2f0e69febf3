"""Waits: one ticket or a million, each asked about by one poller. The half that starts nothing."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from .._aio.cooperation import Yielder
from .._aio.loop_bound import LoopBound
from .._models.errors import ClientClosed, GenerationFailed, TransportError
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket, TicketLike
from .._models.validation import check_count, check_nonnegative_seconds
from .._scheduling.host_queue import Watcher
from .._scheduling.initial_state import InitialState
from .._scheduling.policy import PacePolicy
from .._scheduling.schedule import Schedule
from .listeners import Listeners
from .poll_guards import PollGuards
from .poller import Poller
from .status_client import StatusClient
from .stream_buffer import StreamBuffer, Tickets, check_not_text, fill_buffer
from .watchers import OutcomeWatcher, UpdateWatcher

# So many are given up before those who wait for them, and others, have their turn.
_TIMEOUTS_PER_YIELD = 64


class Waits(LoopBound):
    """
    Waits for tickets, wherever they were started.

    Args:
        status_client: Who looks.
        pace: When.
        rate: How often at the most.
        workers: How many at once.
        listeners: Who is told of it.
        start_of: What is known of a ticket that was started here.
        on_completed: Told of each ticket that has ended.
    """

    def __init__(
        self,
        status_client: StatusClient,
        *,
        pace: PacePolicy,
        rate: float | None,
        workers: int,
        listeners: Listeners,
        initial_state_of: Callable[[Ticket], InitialState],
        on_completed: Callable[[Ticket], object],
    ) -> None:
        super().__init__()
        self._status_client = status_client
        self._pace = pace
        self._listeners = listeners
        self._poll_guards = PollGuards()
        self._initial_state_of = initial_state_of
        self._on_completed = on_completed
        self._poller = Poller(
            Schedule(pace, rate),
            status_client,
            workers=workers,
            listeners=listeners,
            poll_guards=self._poll_guards,
        )
        self._poller.on_completed = on_completed

    async def _close(self) -> None:
        await self._poller.aclose()
        await self._status_client.aclose()

    async def fetch(self, ticket: TicketLike) -> Reply:
        """
        Look once.

        Raises:
            TransientError: The look went wrong; the job may still be fine.
            Refused: The server refuses the key, the plan or the request.
            ClientClosed: The client was closed meanwhile.
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.
        """
        self._check_usable()
        ticket = Ticket.of(ticket)
        self._status_client.family_of(ticket)
        try:
            reply = await self._status_client.fetch(ticket)
        except TransportError:
            if not self._closed:
                raise
        else:
            if not isinstance(reply, Processing):
                self._on_completed(ticket)
            return reply
        raise ClientClosed("the client was closed; fetch the ticket again to resume", ticket=ticket)

    async def wait(self, ticket: TicketLike, *, timeout: float | None = None) -> Success:
        """
        Wait until a generation is done.

        Args:
            ticket: A `Ticket`, its text `"images:123"`, or a pair `("images", 123)`.
            timeout: The most seconds to wait, 0 to give up at once; None for as long as it takes.

        Raises:
            GenerationFailed: The job failed; `TicketNotFound` if the server knows no such id.
            WaitTimeout: The time is up. Wait for the same ticket again to resume.
            Refused: The server refuses the key, the plan or the request.
            TransientError: More looks in a row went wrong than the pace allows.
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.

        Example:
            ```python
            picture = await client.wait("realtime:13443927")
            print(picture.output)
            ```
        """
        check_nonnegative_seconds("timeout", timeout, optional=True)
        ticket = Ticket.of(ticket)
        outcome = await self._outcome(ticket, timeout)
        match outcome:
            case Success():
                return outcome
            case Failed():
                raise GenerationFailed.of(outcome)
            case Unresolved():
                raise outcome.cause.with_ticket(ticket)

    async def _outcome(self, ticket: Ticket, timeout: float | None) -> Outcome:
        watcher = OutcomeWatcher()
        poller = self._watch(ticket, watcher)
        try:
            outcome = await watcher.outcome(timeout)
            if outcome is None:
                outcome = poller.time_out(ticket, timeout)
        finally:
            poller.unwatch(ticket, watcher)
        return outcome

    async def gather(
        self, tickets: Iterable[TicketLike], *, timeout: float | None = None
    ) -> list[Outcome]:
        """
        Wait for many, and get their outcomes in the order asked. No failure hides another outcome.

        Args:
            tickets: Tickets in any form; the same one may come twice.
            timeout: The most seconds to wait for each; one that is not over then is `Unresolved`.

        Raises:
            ValueError: A ticket is ill-formed, or its family unknown. Nothing was sent.
        """
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_not_text(tickets)
        yielder = Yielder()
        wanted: list[Ticket] = []
        for given in tickets:
            wanted.append(ticket := Ticket.of(given))
            self._status_client.family_of(ticket)
            await yielder.maybe_yield()
        # The inbox takes a ticket that comes twice for one, and gives its outcome twice.
        outcomes = {
            outcome.ticket: outcome
            async for outcome in self.stream(wanted, timeout=timeout, window=len(wanted) + 1)
        }
        ordered: list[Outcome] = []
        for ticket in wanted:
            ordered.append(outcomes[ticket])
            await yielder.maybe_yield()
        return ordered

    async def stream(
        self, tickets: Tickets, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[Outcome, None]:
        """
        Wait for many, and get their outcomes as they end.

        The source is read as far as the window allows. Leaving the loop early drops what is open.

        Args:
            tickets: An iterable or async iterable of tickets in any form.
            timeout: The most seconds to wait for each, counted from when it was taken from the
                source; one that is not over then is `Unresolved`.
            window: The most tickets that are open or not yet taken at once.

        Raises:
            ValueError: A ticket is ill-formed, or its family unknown. This, and whatever else the
                source raises, is raised after the outcomes of all tickets before it.
        """
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_count("window", window)
        check_not_text(tickets)
        self._check_usable()
        poller = self._poller
        yielder = Yielder()
        buffer = StreamBuffer(window=window, timeout=timeout, scope_of=self._status_client.scope_of)
        reader_task = asyncio.create_task(
            fill_buffer(tickets, buffer, self._watch), name="modelslab_async feed"
        )
        try:
            while True:
                outcome = await buffer.take()
                if outcome is not None:
                    yield outcome
                    await yielder.maybe_yield()
                    continue
                overdue_tickets = buffer.overdue(
                    asyncio.get_running_loop().time(), _TIMEOUTS_PER_YIELD
                )
                for ticket in overdue_tickets:
                    buffer.notify(poller.time_out(ticket, timeout))
                    poller.unwatch(ticket, buffer)
                if not overdue_tickets and buffer.is_finished:
                    break
            if buffer.source_error is not None:
                raise buffer.source_error
        finally:
            reader_task.cancel()
            poller.unwatch_all(buffer.open_tickets, buffer)
            await asyncio.wait((reader_task,))

    async def watch(self, ticket: TicketLike) -> AsyncGenerator[Processing | Outcome, None]:
        """
        See every change of one ticket: each new `Processing`, then the outcome.

        A reply that says the same again is no change, and a change that was overtaken by a newer
        one while nobody looked is left out.

        Raises:
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.
        """
        ticket = Ticket.of(ticket)
        watcher = UpdateWatcher()
        poller = self._watch(ticket, watcher)
        seen: Processing | None = None
        if (last := poller.last(ticket)) is not None:
            watcher.notify(last)
        try:
            while True:
                update = await watcher.next_update(seen)
                yield update
                if not isinstance(update, Processing):
                    return
                seen = update
        finally:
            poller.unwatch(ticket, watcher)

    def nudge(self, ticket: TicketLike) -> None:
        """
        Look at a ticket now, because something has happened to it.

        Does nothing for a ticket that nobody waits for. However often this is called, it costs no
        more than one look in each of the pace's floors.

        Raises:
            ValueError: The ticket is ill-formed.
        """
        self._check_usable()
        self._poller.nudge(Ticket.of(ticket), gap=self._pace.limits.floor, is_hint=True)

    async def _wait_for_drops(self) -> None:
        """Wait until nothing is looked at that nobody waits for any more."""
        while self._poller.is_dropping:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _watch(self, ticket: Ticket, watcher: Watcher) -> Poller:
        self._check_usable()
        self._poller.watch(ticket, watcher, self._initial_state_of(ticket))
        return self._poller
