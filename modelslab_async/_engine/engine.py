"""Engine: starts and closes a client's poller and submitter. The schedule decides when to poll."""

import asyncio
import math
import os
from collections.abc import Awaitable, Callable

from .._aio.listeners import Listeners, call_and_log
from .._aio.telemetry import TELEMETRY_LOG_NAME, Gauges, Telemetry, traced
from .._aio.yield_and_wakeup import wait_with_grace
from .._models.errors import ClientClosed, TransportError
from .._models.key_kind import Tier
from .._models.replies import Processing, Reply
from .._models.submission import Submission
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .._parsing.webhook_ids import WebhookHint
from .._polling.poller import Poller
from .._polling.status_client import StatusClient
from .._polling.watchers import OutcomeWatcher
from .._scheduling.effects import Completion
from .._scheduling.hosts import Hosts
from .._scheduling.initial_ticket_facts import NO_FACTS, InitialTicketFacts
from .._scheduling.rate_limiter import even_poll_rates
from .._scheduling.schedule import Schedule
from .._scheduling.watcher_protocol import Watcher
from .._submitting.endpoint_requests import EndpointRequests
from .._submitting.paid_submit_budget import SubmitBudget
from .._submitting.slot_polls import SlotPolls
from .._submitting.slots import Slots
from .._submitting.submit_exchange import SubmitExchange
from .._submitting.submit_request import SubmitRequest
from .._submitting.submitter import Submitter
from .._submitting.webhook_addresses import WebhookAddresses
from .._transport.credentials import Credentials
from .._transport.sender import Sender
from .._transport.transport_protocol import Transport
from .account_protocol import JoinedAccount
from .settings import Settings

_CLOSED_BEFORE_WAIT_MESSAGE = (
    "this client is closed; make a new one, and wait for the ticket to resume: its work was started"
)


class Engine:
    """
    Polls tickets and submits requests for the callers of one client.

    `Client`, `Batch` and the webhook receiver share one engine, its schedule and its slots.

    Attributes:
        pace: The rule that says when to poll.
        redact: Replaces the client's API keys in bytes with "[key]".
        listeners: Functions that are called with each event.
        poller: Polls every open ticket.
        status_client: Polls one ticket once.
        ticket_of: Converts a caller's argument, such as a string, to a `Ticket`.
        endpoints: Checks requests, and calls the endpoints that start no work.
        submitter: Sends requests that start work.
        webhooks: The webhook addresses that this client made.
    """

    def __init__(self, settings: Settings, credentials: Credentials, transport: Transport) -> None:
        families, endpoints = settings.rooted_families(), settings.rooted_endpoints()
        self._sender = sender = Sender(transport, credentials, timeout=settings.timeout)
        self.pace = settings.pace
        self._wait_timeout = settings.wait_timeout
        self._submit_timeout = settings.submit_timeout
        self.redact = credentials.redact
        self.listeners = Listeners(settings.on_event)
        self.status_client = StatusClient(families, sender)
        self.ticket_of = self.status_client.ticket_of
        self._queue = settings.queue
        poll_rates = even_poll_rates(settings.rate)
        self._joined_account: JoinedAccount | None = None
        if settings.account is not None:
            self._joined_account = settings.account.join(credentials.digest)
            self.listeners.add(self._joined_account.on_event)
            poll_rates = self._joined_account.poll_rate_of
        self._schedule = Schedule(settings.pace, Hosts(settings.pace.limits, poll_rates))
        self.poller = Poller(
            self._schedule,
            self.status_client,
            workers=settings.workers,
            listeners=self.listeners,
        )
        self.endpoints = EndpointRequests(endpoints, families, sender)
        self.webhooks = WebhookAddresses()
        self.submitter = Submitter(
            self.endpoints,
            SubmitExchange(families, settings.default_families(), sender, settings.submit_timeout),
            budget=SubmitBudget(settings.max_submits),
            make_slots=self._make_slots,
            pace=settings.pace.limits,
            timeout=settings.submit_timeout,
            unsent_timeout=settings.unsent_timeout,
            on_submitted=settings.on_submitted,
            listeners=self.listeners,
            webhooks=self.webhooks,
        )
        self.poller.notifier.on_completed = self._free_slot
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._is_closed = False
        self._close_task: asyncio.Task[None] | None = None
        self._telemetry: Telemetry | None = None
        self._remove_gauges: Callable[[], object] | None = None

    def set_telemetry(self, telemetry: Telemetry) -> None:
        """
        Begin to report spans and metrics to `telemetry`.

        Raises:
            ValueError: The engine has telemetry already.
        """
        if self._telemetry is not None:
            raise ValueError("this client is instrumented already; instrument it once")
        self._telemetry = self.poller.telemetry = self.submitter.telemetry = telemetry
        self._sender.on_exchange = telemetry.on_exchange
        self.listeners.add(telemetry.on_event)
        self._remove_gauges = telemetry.add_gauges(Gauges(self._schedule.__len__, self._used_slots))

    def _used_slots(self) -> dict[str, int]:
        # Copy the items first, because a metrics exporter calls this function in another thread.
        return {tier: slots.used for tier, slots in tuple(self.submitter.slots.items())}

    def check_usable(self) -> None:
        """
        Raise an error if the engine is closed or belongs to another event loop.

        Raises:
            ClientClosed: The client was closed.
            RuntimeError: The caller runs in another event loop or process than the engine.
        """
        # This check also notices a forked process, because asyncio forgets its running loop in a
        # forked child.
        if asyncio.get_running_loop() is not self._loop:
            self._join_loop()
        if self._is_closed:
            raise ClientClosed("this client is closed; make a new one")

    def _join_loop(self) -> None:
        if self._loop is not None or self._process != os.getpid():
            raise RuntimeError(
                "this client belongs to another event loop or process; make one client for each "
                "(each asyncio.run, each thread, each fork)"
            )
        self._loop = asyncio.get_running_loop()
        if self._joined_account is not None:
            self._joined_account.start(self._schedule, self.poller, self._nudge_hinted)

    async def aclose(self) -> None:
        """
        Close the client: wait for submits in flight, end every wait, and close the connections.

        A caller that is cancelled waits for at most `submit_timeout` seconds more. Closing goes on.

        Raises:
            RuntimeError: `on_submitted` or a transport awaits this call. The client stays open.
        """
        if asyncio.get_running_loop() is not self._loop:
            self._join_loop()
        self.submitter.tasks.check_not_inside()
        self._is_closed = True
        if self._close_task is None:
            self._close_task = asyncio.create_task(self._close(), name="modelslab_async close")
        await wait_with_grace(self._close_task, self._submit_timeout)

    async def _close(self) -> None:
        await self.submitter.aclose()
        if self._joined_account is not None:
            await self._joined_account.aclose()
        await self.poller.aclose()
        await self.status_client.aclose()
        if self._remove_gauges is not None:
            call_and_log(TELEMETRY_LOG_NAME, self._remove_gauges)

    def watch(self, ticket: Ticket, watcher: Watcher) -> None:
        """
        Poll a ticket until it ends, and notify the watcher.

        Raises:
            ClientClosed: The client was closed.
            ValueError: The ticket is invalid, or the client has no API key for the ticket's family.
        """
        self.check_usable()
        facts = self._initial_facts_of(ticket) if self.submitter.slots else NO_FACTS
        self.poller.watch(ticket, watcher, facts)

    async def fetch(self, ticket: Ticket) -> Reply:
        """Poll a ticket once and return the reply, as `Client.fetch` does."""
        self.check_usable()
        self.status_client.family_of(ticket)
        fetching: Awaitable[Reply] = self.status_client.fetch(ticket)
        if self._telemetry is not None:
            fetching = traced(self._telemetry, "modelslab.poll", fetching, ticket=ticket)
        try:
            reply = await fetching
        except TransportError:
            if not self._is_closed:
                raise
        else:
            if not isinstance(reply, Processing):
                self._free_slot(ticket)
            return reply
        raise ClientClosed("the client was closed; fetch the ticket again to resume", ticket=ticket)

    def _initial_facts_of(self, ticket: Ticket) -> InitialTicketFacts:
        for slots in self.submitter.slots.values():
            if (facts := slots.initial_facts_of(ticket)) is not None:
                return facts
        return NO_FACTS

    def _make_slots(self, tier: Tier) -> Slots:
        if self._joined_account is None:
            return Slots(self._queue, SlotPolls(self.poller))
        return self._joined_account.make_slots(tier, SlotPolls(self.poller))

    def _free_slot(self, ticket: Ticket, completion: Completion | None = None) -> None:
        for slots in self.submitter.slots.values():
            slots.on_completed(ticket, completion)

    def wait_limit(self, timeout: float | None) -> float | None:
        """Return `timeout`, or by default the client's `wait_timeout`. Return None for no limit."""
        limit = self._wait_timeout if timeout is None else timeout
        return None if limit == math.inf else limit

    async def outcome(self, ticket: Ticket, timeout: float | None) -> Outcome:
        """
        Wait for one ticket's outcome.

        The outcome is `Unresolved` after a timeout or a refusal, or if the client is closed.
        """
        waiting = self._outcome(ticket, self.wait_limit(timeout))
        if self._telemetry is None:
            return await waiting
        return await traced(self._telemetry, "modelslab.wait", waiting, ticket=ticket)

    async def _outcome(self, ticket: Ticket, timeout: float | None) -> Outcome:
        watcher = OutcomeWatcher()
        try:
            self.watch(ticket, watcher)
            outcome = await watcher.outcome(timeout)
            if outcome is None:
                outcome = self.poller.time_out(ticket, timeout)
        except ClientClosed:
            # The ticket may come from a submit that was in flight while the client closed. The
            # service has started the work, so return an outcome with the ticket.
            cause = ClientClosed(_CLOSED_BEFORE_WAIT_MESSAGE, ticket=ticket)
            outcome = Unresolved(ticket=ticket, cause=cause)
        finally:
            self.poller.unwatch(ticket, watcher)
        return outcome

    def nudge(self, ticket: Ticket) -> None:
        """Poll an open ticket now, as `Client.nudge` does."""
        self.check_usable()
        self.poller.nudge(ticket, gap=self.pace.limits.floor, is_hint=True)

    def take_hint(self, hint: WebhookHint) -> None:
        """
        Poll each open ticket that a webhook names, without waiting until the ticket is due.

        Pass the webhook on to the other clients that share the account. They do the same.

        Raises:
            ClientClosed: The client was closed.
        """
        self.check_usable()
        self._nudge_hinted(hint)
        if self._joined_account is not None:
            self._joined_account.share_hint(hint)

    def _nudge_hinted(self, hint: WebhookHint) -> None:
        for ticket in self.submitter.tickets_for(hint) | self.status_client.tickets_of(hint.ids):
            self.poller.nudge(ticket, gap=self.pace.limits.floor, is_hint=True)

    def webhook_url(self, base: str, secret: str | None, family: str) -> str:
        """Return a new webhook URL, or raise `ValueError`, as `Client.webhook_url` does."""
        if family:
            self.status_client.family_named(family)
        return self.webhooks.make(base, secret, family)

    async def prepare(self, submission: Submission) -> SubmitRequest:
        """
        Check a request and read its files. Send nothing.

        Raises:
            ClientClosed: The client was closed.
            UnusableFile: A file cannot be read, is empty or is too long.
            ValueError: The endpoint is unknown, or the parameters do not fit it.
        """
        self.check_usable()
        return await self.endpoints.prepare(submission)

    async def wait_for_drops(self) -> None:
        """Wait until all streams that callers left early have dropped their tickets."""
        while self.poller.is_dropping:  # noqa: ASYNC110
            await asyncio.sleep(0)
