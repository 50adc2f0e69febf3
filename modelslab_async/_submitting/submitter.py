"""Submitter: sends submits. It never repeats a submit that may have started work."""

import asyncio
import itertools
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from .._aio.telemetry import Telemetry, traced
from .._models.errors import (
    AuthenticationError,
    ClientClosed,
    ModelsLabError,
    PaymentRequired,
    RateLimited,
)
from .._models.events import Event, Submitted
from .._models.key_kind import Tier
from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint
from .._scheduling.pace_protocol import RetryLimits
from .active_submit import ActiveSubmit
from .endpoint_requests import CLOSED_MESSAGE, EndpointRequests
from .paid_submit_budget import SubmitBudget
from .slots import Slots
from .submit_exchange import BuiltSubmit, SubmitExchange, SubmitReply, uncertain_error
from .submit_notifier import SubmitNotifier
from .submit_progress import SubmitProgress
from .submit_recorder import (
    CallbackFailure,
    SubmitRecorder,
    SubmitResult,
    log_abandoned,
    report_result,
)
from .submit_request import SubmitRequest
from .submit_retries import SubmitRetries
from .submit_tasks import SubmitTasks
from .uploader import UPLOAD_ENDPOINT, Uploader, original_error
from .webhook_addresses import WebhookAddresses

_logger = logging.getLogger("modelslab_async")

_NO_SUBMIT_RECORDER = SubmitRecorder()


class Submitter:
    """
    Starts work within the slots of each API key, and records which tickets hold slots.

    Each submit is sent in a task of its own. So the ticket is not lost if the caller is cancelled.

    Args:
        endpoint_requests: Checks requests and uploads their files.
        exchange: Sends one submit once.
        budget: Limits the number of submits.
        make_slots: Makes the slots of one API key.
        pace: How often a submit is retried, and after what pauses.
        timeout: The maximum number of seconds that the upload of one file may take.
        unsent_timeout: How many seconds to retry a submit that cannot be sent.
        on_submitted: Called with each `Submitted`, and awaited if it is async; None for none.
        listeners: Called with each event of a submit.
        webhooks: Recognizes the addresses of this client's own webhook receiver.
        jitter: Returns a random number between 0 and 1.

    Attributes:
        slots: The slots of each API key that has been used, keyed by its tier.
        tasks: The tasks that send submits.
        telemetry: Makes a span for each submit; None for no spans.
        calls_on_submitted: Whether the client's `on_submitted` gets each ticket.
    """

    def __init__(
        self,
        endpoint_requests: EndpointRequests,
        exchange: SubmitExchange,
        *,
        budget: SubmitBudget,
        make_slots: Callable[[Tier], Slots],
        pace: RetryLimits,
        timeout: float,
        unsent_timeout: float,
        on_submitted: Callable[[Submitted], object] | None,
        listeners: Callable[[Event], object],
        webhooks: WebhookAddresses,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint_requests = endpoint_requests
        self._exchange = exchange
        self._budget = budget
        self._make_slots = make_slots
        self._pace = pace
        self._unsent_timeout = unsent_timeout
        self._on_submitted = on_submitted
        self.calls_on_submitted = on_submitted is not None
        self._listeners = listeners
        self._webhooks = webhooks
        self._jitter = jitter
        self.slots: dict[Tier, Slots] = {}
        self.telemetry: Telemetry | None = None
        self._numbers = itertools.count()
        self.tasks = SubmitTasks()
        self._uploader = Uploader(
            partial(endpoint_requests.ask, UPLOAD_ENDPOINT, timeout=timeout),
            endpoint_requests.read_file,
        )

    async def submit(
        self,
        submit_request: SubmitRequest,
        submit_recorder: SubmitRecorder = _NO_SUBMIT_RECORDER,
        progress: SubmitProgress | None = None,
    ) -> SubmitReply | CallbackFailure:
        """
        Start one generation as soon as a slot is free.

        Args:
            submit_request: The request to send.
            submit_recorder: Records the submit.
            progress: Records how far the submit has come.

        Returns:
            The server's reply, or a `CallbackFailure` if the recorder or `on_submitted` raised.

        Raises:
            SubmitUncertain: Work may or may not have been started.
            GenerationFailed: The work failed at once.
            ModelsLabError: Nothing was started: `Refused`, `RateLimited` (too many attempts),
                another `TransientError` (the submit never left this machine, or an upload failed),
                `ConnectionImpossible`, `UnusableFile`, `SubmitLimitReached` or `ClientClosed`.
        """
        submitting = self._submit(submit_request, submit_recorder, progress or SubmitProgress())
        if self.telemetry is None:
            return await submitting
        name = submit_request.endpoint.name
        return await traced(self.telemetry, "modelslab.submit", submitting, endpoint=name)

    async def _submit(
        self,
        submit_request: SubmitRequest,
        submit_recorder: SubmitRecorder,
        progress: SubmitProgress,
    ) -> SubmitReply | CallbackFailure:
        self._endpoint_requests.check_open()
        slots = self._slots_of(tier := self._endpoint_requests.key_tier(submit_request))
        active = ActiveSubmit(
            request=submit_request,
            number=next(self._numbers),
            slots=slots,
            notifier=SubmitNotifier(submit_recorder, self._listeners, submit_request, slots, tier),
            progress=progress,
            retries=SubmitRetries(
                self._pace, self._unsent_timeout, submit_request.endpoint.name, self._jitter
            ),
            share=self._budget.take_share(),
            check_open=self._endpoint_requests.check_open,
        )
        try:
            return await self._submit_with_retries(active)
        finally:
            active.share.leave()

    async def _submit_with_retries(self, active: ActiveSubmit) -> SubmitReply | CallbackFailure:
        while True:
            await active.acquire_slot()
            result = await self._attempt(active)
            if not isinstance(result, ModelsLabError):
                return result
            active.progress.record_failure(result)
            pause = active.retries.pause_after(result)
            if (refusal := active.notifier.refusal()) is not None:
                return CallbackFailure(refusal, result)
            active.notifier.retried(result, pause)
            if pause:
                await self._endpoint_requests.sleep_while_open(pause)

    def tickets_for(self, hint: WebhookHint) -> set[Ticket]:
        """
        Return the tickets that hold slots and were submitted with the track_id of a webhook.

        Also mark every ticket that the webhook names, because a caller may wait for it later.
        """
        found = [slots.take_hint(hint) for slots in self.slots.values()]
        return {ticket for ticket in found if ticket is not None}

    async def aclose(self) -> None:
        """Reject waiting submits. Await submits in flight, because they may start paid work."""
        self._endpoint_requests.close()
        for slots in self.slots.values():
            slots.close(ClientClosed(CLOSED_MESSAGE))
        await self.tasks.wait_for_all()

    def hold_slot(self, ticket: Ticket, *, endpoint: str, age: float) -> None:
        """
        Hold a slot for the ticket of a process that has died.

        Args:
            ticket: The ticket, whose work the service has queued or begun.
            endpoint: The name of the endpoint that made the ticket. If this client does not know
                the endpoint, no slot is held.
            age: The seconds since the submit.
        """
        with suppress(ValueError):
            slots = self._slots_of(self._endpoint_requests.tier_of(endpoint))
            slots.hold(
                ticket, endpoint=endpoint, submitted_at=asyncio.get_running_loop().time() - age
            )

    def _slots_of(self, tier: Tier) -> Slots:
        if tier not in self.slots:
            self.slots[tier] = self._make_slots(tier)
        return self.slots[tier]

    async def _attempt(self, active: ActiveSubmit) -> SubmitResult:
        """Upload the files of a request that has a slot, and submit the request."""
        active.progress.stage = "upload"
        try:
            # Check again, because the client may have been closed after this submit got its slot.
            self._endpoint_requests.check_open()
            linked_request = await self._uploader.upload_files(
                active.request,
                active.links,
                begin_request=active.begin_request,
                on_uploaded=active.on_uploaded,
            )
            self._endpoint_requests.check_open()
            built_submit = self._exchange.build(linked_request)
        except ModelsLabError as error:
            match error:
                case RateLimited():
                    active.slots.apply_rate_limit(error, active.request.payload_hash)
                case AuthenticationError() | PaymentRequired() if (
                    self._endpoint_requests.shares_upload_key(active.request)
                ):
                    active.slots.reject_waiting(original_error(error))
            active.release_unsent()
            active.notifier.ended(error)
            return error
        except BaseException:
            active.release_unsent()
            raise
        return await self._submit_in_task(active, built_submit)

    async def _submit_in_task(
        self, active: ActiveSubmit, built_submit: BuiltSubmit
    ) -> SubmitResult:
        submit_task = self.tasks.start(self._send_and_record(active, built_submit))
        caller_wait = asyncio.shield(submit_task)
        active.begin_attempt(submit_task, caller_wait)
        try:
            return await caller_wait
        except asyncio.CancelledError:
            submit_task.add_done_callback(log_abandoned)
            raise

    async def _send_and_record(
        self, active: ActiveSubmit, built_submit: BuiltSubmit
    ) -> SubmitResult:
        """Record a submit, send it once, and report its result."""
        notifier, submit_request = active.notifier, built_submit.submit_request
        try:
            await notifier.begin(submit_request)
        except BaseException as error:
            active.slots.release()
            if isinstance(error, Exception):
                return CallbackFailure(error)
            raise
        result = await self._send(active, built_submit)
        active.progress.result = result
        active.settle_slot(
            result, expects_webhook=self._webhooks.is_own(submit_request.params.get("webhook"))
        )
        return await report_result(submit_request, result, notifier, self._on_submitted)

    async def _send(
        self, active: ActiveSubmit, built_submit: BuiltSubmit
    ) -> SubmitReply | ModelsLabError:
        """Send a recorded submit once. If it must no longer be sent, return an error instead."""
        try:
            active.begin_sending()
        except ModelsLabError as error:
            return error
        # From here on, the submit may start work. Connecting may take minutes. So a transport that
        # knows when it writes the first byte calls `check_sendable` directly before that.
        try:
            return await self._exchange.send(
                built_submit, active.begin_request(), check_sendable=active.check_sendable
            )
        except BaseException:
            active.slots.hold_uncertain(built_submit.submit_request.endpoint.name)
            uncertain = uncertain_error(built_submit.submit_request, "it was cut off")
            _logger.warning("cut off in flight: %s", uncertain)
            active.notifier.ended(uncertain)
            raise
