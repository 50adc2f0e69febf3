"""Waits: one ticket or a million, each asked about by one poller. The half that starts nothing."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from .._aio.cooperation import Turns
from .._aio.loop_bound import Owned
from .._models.errors import ClientClosed, GenerationFailed, TransportError
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket, TicketLike
from .._models.validation import check_count, check_patience
from .._scheduling.host_queue import Watcher
from .._scheduling.policy import Rule
from .._scheduling.schedule import Schedule
from .._scheduling.start import Start
from .listeners import Hearers
from .poll_guards import Guards
from .poller import Poller
from .status_client import Looker
from .stream_buffer import Inbox, Tickets, feed, no_text
from .watchers import Answer, Changes

# So many are given up before those who wait for them, and others, have their turn.
_FEW = 64


class Waits(Owned):
    """
    Waits for tickets, wherever they were started.

    Args:
        looker: Who looks.
        pace: When.
        rate: How often at the most.
        workers: How many at once.
        hearers: Who is told of it.
        start_of: What is known of a ticket that was started here.
        settled: Told of each ticket that has ended.
    """

    def __init__(
        self,
        looker: Looker,
        *,
        pace: Rule,
        rate: float | None,
        workers: int,
        hearers: Hearers,
        start_of: Callable[[Ticket], Start],
        settled: Callable[[Ticket], object],
    ) -> None:
        super().__init__()
        self._looker = looker
        self._pace = pace
        self._rate = rate
        self._workers = workers
        self._hearers = hearers
        self._guards = Guards()
        self._start_of = start_of
        self._settled = settled
        self._poller: Poller | None = None

    async def _close(self) -> None:
        if self._poller is not None:
            await self._poller.aclose()
        await self._looker.aclose()

    async def fetch(self, ticket: TicketLike) -> Reply:
        """
        Look once.

        Raises:
            LookFault: The look went wrong; the job may still be fine.
            Refused: The server refuses the key, the plan or the request.
            ClientClosed: The client was closed meanwhile.
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.
        """
        self._check_usable()
        ticket = Ticket.of(ticket)
        self._looker.family_of(ticket)
        try:
            reply = await self._looker.fetch(ticket)
        except TransportError:
            if not self._closed:
                raise
        else:
            if not isinstance(reply, Processing):
                self._settled(ticket)
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
            LookFault: More looks in a row went wrong than the pace allows.
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.

        Example:
            ```python
            picture = await client.wait("realtime:13443927")
            print(picture.output)
            ```
        """
        check_patience("timeout", timeout, optional=True)
        ticket = Ticket.of(ticket)
        outcome = await self._outcome(ticket, timeout)
        match outcome:
            case Success():
                return outcome
            case Failed():
                raise GenerationFailed.of(outcome)
            case Unresolved():
                raise outcome.cause.about(ticket)

    async def _outcome(self, ticket: Ticket, timeout: float | None) -> Outcome:
        answer = Answer()
        poller = self._watch(ticket, answer)
        try:
            outcome = await answer.outcome(timeout)
            if outcome is None:
                outcome = poller.give_up(ticket, timeout)
        finally:
            poller.leave(ticket, answer)
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
        check_patience("timeout", timeout, optional=True)
        no_text(tickets)
        turns = Turns()
        wanted: list[Ticket] = []
        for given in tickets:
            wanted.append(ticket := Ticket.of(given))
            self._looker.family_of(ticket)
            await turns.give()
        # The inbox takes a ticket that comes twice for one, and gives its outcome twice.
        outcomes = {
            outcome.ticket: outcome
            async for outcome in self.stream(wanted, timeout=timeout, window=len(wanted) + 1)
        }
        ordered: list[Outcome] = []
        for ticket in wanted:
            ordered.append(outcomes[ticket])
            await turns.give()
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
        check_patience("timeout", timeout, optional=True)
        check_count("window", window)
        no_text(tickets)
        poller = self._poller_here()
        turns = Turns()
        inbox = Inbox(window=window, timeout=timeout, scope_of=self._looker.scope_of)
        feeder = asyncio.create_task(feed(tickets, inbox, self._watch), name="modelslab_async feed")
        try:
            while True:
                outcome = await inbox.take()
                if outcome is not None:
                    yield outcome
                    await turns.give()
                    continue
                late = inbox.overdue(asyncio.get_running_loop().time(), _FEW)
                for ticket in late:
                    inbox.hear(poller.give_up(ticket, timeout))
                    poller.leave(ticket, inbox)
                if not late and inbox.finished:
                    break
            if inbox.source_error is not None:
                raise inbox.source_error
        finally:
            feeder.cancel()
            poller.leave_all(inbox.open, inbox)
            await asyncio.wait((feeder,))

    async def watch(self, ticket: TicketLike) -> AsyncGenerator[Processing | Outcome, None]:
        """
        See every change of one ticket: each new `Processing`, then the outcome.

        A reply that says the same again is no change, and a change that was overtaken by a newer
        one while nobody looked is left out.

        Raises:
            ValueError: The ticket is ill-formed, or its family unknown. Nothing was sent.
        """
        ticket = Ticket.of(ticket)
        changes = Changes()
        poller = self._watch(ticket, changes)
        seen: Processing | None = None
        if (last := poller.last(ticket)) is not None:
            changes.hear(last)
        try:
            while True:
                news = await changes.change(seen)
                yield news
                if not isinstance(news, Processing):
                    return
                seen = news
        finally:
            poller.leave(ticket, changes)

    def nudge(self, ticket: TicketLike) -> None:
        """
        Look at a ticket now, because something has happened to it.

        Does nothing for a ticket that nobody waits for. However often this is called, it costs no
        more than one look in each of the pace's floors.

        Raises:
            ValueError: The ticket is ill-formed.
        """
        self._check_usable()
        self._poller_here().nudge(Ticket.of(ticket), gap=self._pace.limits.floor, news=True)

    async def _left(self) -> None:
        """Wait until nothing is looked at that nobody waits for any more."""
        while self._poller is not None and self._poller.is_leaving:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _watch(self, ticket: Ticket, watcher: Watcher) -> Poller:
        tier, host = self._looker.place_of(ticket)
        poller = self._poller_here()
        start = self._start_of(ticket)
        poller.watch(
            ticket,
            watcher,
            tier=tier,
            host=host,
            eta=start.eta,
            fresh=start.fresh,
            calm=start.calm,
        )
        return poller

    def _poller_here(self) -> Poller:
        self._check_usable()
        if self._poller is None:
            self._poller = self._new_poller()
        return self._poller

    def _new_poller(self) -> Poller:
        return Poller(
            Schedule(self._pace, self._rate),
            self._looker.look,
            workers=self._workers,
            on_settled=self._settled,
            hearers=self._hearers,
            guards=self._guards,
        )
