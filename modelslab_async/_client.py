"""Client: the front door. Takes tickets in any form and hands back replies and outcomes."""

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

import httpx

from ._core.catalog import FAMILIES
from ._core.errors import ClientClosed, GenerationFailed, TransportError
from ._core.events import Event
from ._core.families import Family
from ._core.lanes import Watcher
from ._core.outcomes import Outcome, Unresolved
from ._core.pacing import Pace
from ._core.replies import Failed, Processing, Reply, Success
from ._core.schedule import Schedule
from ._core.tickets import Ticket, TicketLike
from ._inbox import Inbox, Tickets, feed, no_text
from ._looker import Looker, rooted
from ._poller import Poller
from ._transport.keys import Keys
from ._transport.sender import Sender, as_http
from ._transport.wire import HTTP
from ._turns import Turns
from ._waiters import Answer, Changes


class Client:
    """
    Awaits queued generations: one or a million, of any API family, each asked about by one poller.

    Use it with `async with`, or call `aclose` at the end. It may be opened and closed in different
    tasks and shared by all tasks of one event loop.

    Args:
        api_key: Your key; else the environment's `MODELSLAB_API_KEY`.
        enterprise_key: The key for enterprise families; else `MODELSLAB_ENTERPRISE_API_KEY`, else
            the first key.
        base_url: Where the service is, `https://modelslab.com/api`; else `MODELSLAB_BASE_URL`.
        legacy_base_url: Where its older host is, `https://stablediffusionapi.com/api`; else
            `MODELSLAB_LEGACY_BASE_URL`.
        families: The registry. Add a family with `FAMILIES | {"name": Family(...)}`.
        http: What to send through: an `httpx.AsyncClient` (used as it is and left open), an
            `httpx.AsyncBaseTransport`, or an object with `async def exchange(request)`.
        pace: The rule that says when to look.
        rate: The most looks a second over all tickets of a key; None for no such bound. When more
            is due than may be looked at, the most overdue ticket goes first.
        workers: How many looks may be on their way at once.
        timeout: The most seconds that one look may take.
        on_event: Called with each `Looked`, `Faulted`, `Paused` and `Settled`. It must not block.

    Raises:
        ValueError: There is no key, or an argument is out of its range.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        enterprise_key: str | None = None,
        base_url: str | None = None,
        legacy_base_url: str | None = None,
        families: Mapping[str, Family] = FAMILIES,
        http: HTTP | httpx.AsyncBaseTransport | httpx.AsyncClient | None = None,
        pace: Pace = Pace(),
        rate: float | None = None,
        workers: int = 32,
        timeout: float = 30.0,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers is a number of at least 1, got {workers}")
        if timeout <= 0:
            raise ValueError(f"timeout is a number of seconds above 0, got {timeout}")
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"rate is a number of looks a second above 0, got {rate}")
        sender = Sender(as_http(http, workers), Keys.find(api_key, enterprise_key), timeout=timeout)
        places = rooted(families, base_url=base_url, legacy_base_url=legacy_base_url)
        self._looker = Looker(places, sender)
        self._pace = pace
        self._rate = rate
        self._workers = workers
        self._on_event = on_event
        self._poller: Poller | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._check_usable()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every wait (its tickets can be waited for again) and close the connections."""
        self._check_loop()
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="modelslab_async close")
        # Whoever is cancelled here leaves the closing to itself; who comes later waits for it.
        await asyncio.shield(self._closing)

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
            return await self._looker.look(ticket)
        except TransportError:
            if not self._closed:
                raise
        raise ClientClosed("the client was closed; fetch the ticket again to resume", ticket=ticket)

    async def wait(self, ticket: TicketLike, *, timeout: float | None = None) -> Success:
        """
        Wait until a generation is done.

        Args:
            ticket: A `Ticket`, its text `"images:123"`, or a pair `("images", 123)`.
            timeout: The most seconds to wait; None for as long as it takes.

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
        ticket = Ticket.of(ticket)
        answer = Answer()
        poller = self._watch(ticket, answer)
        try:
            outcome = await answer.outcome(timeout)
            if outcome is None:
                outcome = poller.give_up(ticket, timeout)
        finally:
            poller.leave(ticket, answer)
        match outcome:
            case Success():
                return outcome
            case Failed():
                raise GenerationFailed.of(outcome)
            case Unresolved():
                raise outcome.cause.about(ticket)

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
        if window < 1:
            raise ValueError(f"window is a number of at least 1, got {window}")
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
                late = inbox.overdue(asyncio.get_running_loop().time())
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

    def _watch(self, ticket: Ticket, watcher: Watcher) -> Poller:
        tier, host = self._looker.place_of(ticket)
        poller = self._poller_here()
        poller.watch(ticket, watcher, tier=tier, host=host)
        return poller

    def _poller_here(self) -> Poller:
        self._check_usable()
        if self._poller is None:
            self._poller = Poller(
                Schedule(self._pace, self._rate),
                self._looker.look,
                workers=self._workers,
                on_event=self._on_event,
            )
        return self._poller

    def _check_usable(self) -> None:
        self._check_loop()
        if self._closed:
            raise ClientClosed("this client is closed; make a new one")

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop or self._process != os.getpid():
            raise RuntimeError(
                "this client belongs to another event loop or process; make one client for each "
                "(each asyncio.run, each thread, each fork)"
            )
