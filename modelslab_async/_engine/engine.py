"""Engine: one poller, one submitter, one lifecycle. It never decides when to poll or to submit."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from itertools import product
from typing import Any

from .._aio.cooperation import Yielder
from .._aio.lifecycle import Lifecycle
from .._models.errors import ClientClosed, TransportError
from .._models.outcomes import Outcome
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._parsing.webhook_payload import WebhookHint
from .._polling.listeners import Listeners
from .._polling.poll_guards import PollGuards
from .._polling.poller import Poller
from .._polling.status_client import StatusClient
from .._polling.stream_buffer import StreamBuffer, Tickets, fill_buffer
from .._polling.watchers import OutcomeWatcher, UpdateWatcher
from .._registry.endpoint import Endpoint
from .._registry.family import Family
from .._scheduling.schedule import Schedule
from .._scheduling.watcher_protocol import Watcher
from .._submitting.endpoint_service import EndpointService
from .._submitting.submit_request import SubmitRequest
from .._submitting.submitter import Submitter
from .._submitting.webhook_addresses import WebhookAddresses
from .._transport.sender import Sender
from .settings import Settings

# Tickets of a stream that time out in one step of the event loop, before other tasks run.
_TIMEOUTS_PER_YIELD = 64


class Engine:
    """
    Polls tickets and submits requests for the callers of one client.

    `Client`, `Batch` and the webhook receiver share it, so all of them see one schedule, one set of
    slots and one state of being open or closed.

    Attributes:
        pace: The rule that says when to poll.
        listeners: Functions that are called with each event of the poller.
        poll_guards: Functions that may delay a poll.
        poller: Polls every open ticket.
        status_client: Polls one ticket once.
        endpoints: Checks requests, and asks endpoints that answer at once.
        submitter: Sends requests that start work.
        webhooks: The webhook addresses that this client made.
    """

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        families: Mapping[str, Family],
        endpoints: Mapping[str, Endpoint],
    ) -> None:
        self.pace = settings.pace
        self.listeners = Listeners(settings.on_event)
        self.poll_guards = PollGuards()
        self.status_client = StatusClient(families, sender)
        self.poller = Poller(
            Schedule(settings.pace, settings.rate),
            self.status_client,
            workers=settings.workers,
            listeners=self.listeners,
            poll_guards=self.poll_guards,
        )
        self.endpoints = EndpointService(endpoints, families, sender)
        self.webhooks = WebhookAddresses()
        self.submitter = Submitter(
            self.endpoints,
            families,
            sender,
            poller=self.poller,
            slot_limit=settings.slots,
            pace=settings.pace.limits,
            timeout=settings.submit_timeout,
            on_submitted=settings.on_submitted,
            webhooks=self.webhooks,
        )
        self.poller.on_completed = self.submitter.on_completed
        self._lifecycle = Lifecycle(self._close)

    def check_usable(self) -> None:
        """
        Make sure that the engine is open and used from its own event loop.

        Raises:
            ClientClosed: The client was closed.
            RuntimeError: Another event loop or process uses it.
        """
        self._lifecycle.check_usable()

    async def aclose(self) -> None:
        """End every wait and close the connections. Submits that are in flight are awaited."""
        await self._lifecycle.aclose()

    async def _close(self) -> None:
        await self.submitter.aclose()
        await self.poller.aclose()
        await self.status_client.aclose()

    def watch(self, ticket: Ticket, watcher: Watcher) -> None:
        """
        Poll a ticket until it ends, and tell the watcher how.

        Raises:
            ClientClosed: The client was closed.
            ValueError: The ticket's family is unknown, or its key is missing.
        """
        self.check_usable()
        self.poller.watch(ticket, watcher, self.submitter.initial_state_of(ticket))

    async def fetch(self, ticket: Ticket) -> Reply:
        """Poll a ticket once. See `Client.fetch`."""
        self.check_usable()
        self.status_client.family_of(ticket)
        try:
            reply = await self.status_client.fetch(ticket)
        except TransportError:
            if not self._lifecycle.is_closed:
                raise
        else:
            if not isinstance(reply, Processing):
                self.submitter.on_completed(ticket)
            return reply
        raise ClientClosed("the client was closed; fetch the ticket again to resume", ticket=ticket)

    async def outcome(self, ticket: Ticket, timeout: float | None) -> Outcome:
        """Wait for one ticket. A timeout or a refusal is an `Unresolved`, never an exception."""
        watcher = OutcomeWatcher()
        self.watch(ticket, watcher)
        try:
            outcome = await watcher.outcome(timeout)
            if outcome is None:
                outcome = self.poller.time_out(ticket, timeout)
        finally:
            self.poller.unwatch(ticket, watcher)
        return outcome

    async def updates(self, ticket: Ticket) -> AsyncGenerator[Processing | Outcome, None]:
        """Yield each change of one ticket, then its outcome. See `Client.watch`."""
        watcher = UpdateWatcher()
        self.watch(ticket, watcher)
        seen: Processing | None = None
        if (last := self.poller.last(ticket)) is not None:
            watcher.notify(last)
        try:
            while True:
                update = await watcher.next_update(seen)
                yield update
                if not isinstance(update, Processing):
                    return
                seen = update
        finally:
            self.poller.unwatch(ticket, watcher)

    async def stream(
        self, tickets: Tickets, *, timeout: float | None, window: int
    ) -> AsyncGenerator[Outcome, None]:
        """Yield the outcomes of many tickets as they end. See `Client.stream`."""
        self.check_usable()
        yielder = Yielder()
        buffer = StreamBuffer(window=window, timeout=timeout, scope_of=self.status_client.scope_of)
        reader_task = asyncio.create_task(
            fill_buffer(tickets, buffer, self.watch), name="modelslab_async feed"
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
                    buffer.notify(self.poller.time_out(ticket, timeout))
                    self.poller.unwatch(ticket, buffer)
                if not overdue_tickets and buffer.is_finished:
                    break
            if buffer.source_error is not None:
                raise buffer.source_error
        finally:
            reader_task.cancel()
            self.poller.unwatch_all(buffer.open_tickets, buffer)
            await asyncio.wait((reader_task,))

    def nudge(self, ticket: Ticket) -> None:
        """Poll an open ticket now. See `Client.nudge`."""
        self.check_usable()
        self.poller.nudge(ticket, gap=self.pace.limits.floor, is_hint=True)

    def apply_hint(self, hint: WebhookHint) -> None:
        """
        Poll the open tickets that a webhook names.

        Raises:
            ClientClosed: The client was closed.
        """
        self.check_usable()
        tickets = self.submitter.tickets_for(hint)
        for family, ticket_id in product(self.status_client.families, hint.ids):
            with suppress(ValueError):
                tickets.add(Ticket(family, ticket_id))
        for ticket in tickets:
            self.nudge(ticket)

    async def prepare(self, endpoint: str, params: Mapping[str, Any]) -> SubmitRequest:
        """
        Check a request and read its files. Nothing is sent.

        Raises:
            ClientClosed: The client was closed.
            UnusableFile: A file cannot be read, is empty or too long.
            ValueError: The endpoint is unknown, or the parameters do not fit it.
        """
        self.check_usable()
        return await self.endpoints.prepare(endpoint, params)

    async def wait_for_drops(self) -> None:
        """Wait until the tickets of a stream that was left are no longer polled."""
        while self.poller.is_dropping:  # noqa: ASYNC110
            await asyncio.sleep(0)
