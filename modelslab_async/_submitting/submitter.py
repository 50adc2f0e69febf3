"""Submitter: starts work, once. It repeats only what provably never left, or was refused."""

import asyncio
import itertools
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from .._aio.cooperation import is_cancelled
from .._models.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    GenerationFailed,
    ModelsLabError,
    PaymentRequired,
    RateLimited,
    ServerError,
    SubmitUncertain,
    TransientError,
    TransportError,
)
from .._models.events import Submitted
from .._models.replies import Processing, Success
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.submit_reply import read_submit_reply
from .._parsing.webhook_payload import WebhookHint
from .._registry.family import Family
from .._scheduling.pace_policy import RetryLimits
from .._transport.sender import Sender
from .endpoint_service import CLOSED_MESSAGE, EndpointService
from .slots import Slots, TicketPoller
from .submit_log import CallbackFailure, SubmitLog, SubmitReply
from .submit_request import SubmitRequest
from .uploader import UPLOAD_ENDPOINT, Uploader, original_error
from .webhook_addresses import WebhookAddresses

_logger = logging.getLogger("modelslab_async")

# What the service asks for where it says nothing else.
_DEFAULT_RETRY_AFTER_S = 30.0

# What came of one submit: a server's word, ours, or an exception that is none of both.
_SubmitResult: TypeAlias = SubmitReply | ModelsLabError | CallbackFailure

# So many ids of deliveries that came before the reply to their submit are remembered: no more than
# a number of each, since whoever knows the address may post what is large.
_MAX_EARLY_WEBHOOK_IDS = 1024

_NO_SUBMIT_LOG = SubmitLog()


class Submitter:
    """
    Starts work with the places that the account has, and remembers what it started.

    A submit runs in a task of its own, so that a cancelled caller loses no ticket.

    Attributes:
        slots: The slots of each key that has been used so far.
    """

    def __init__(
        self,
        endpoint_service: EndpointService,
        families: Mapping[str, Family],
        sender: Sender,
        *,
        poller: TicketPoller,
        slot_limit: int | None,
        pace: RetryLimits,
        timeout: float,
        on_submitted: Callable[[Submitted], Awaitable[object]] | None,
        webhooks: WebhookAddresses,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint_service = endpoint_service
        self._families = families
        self._sender = sender
        self._poller = poller
        self._slot_limit = slot_limit
        self._pace = pace
        self._timeout = timeout
        self._on_submitted = on_submitted
        self._webhooks = webhooks
        self._jitter = jitter
        self.slots: dict[Tier, Slots] = {}
        self._numbers = itertools.count()
        self._submit_tasks: set[asyncio.Task[_SubmitResult]] = set()
        self._early_webhook_ids: deque[int] = deque(maxlen=_MAX_EARLY_WEBHOOK_IDS)
        self._uploader = Uploader(partial(endpoint_service.ask, UPLOAD_ENDPOINT, timeout=timeout))

    async def submit(
        self, submit_request: SubmitRequest, submit_log: SubmitLog = _NO_SUBMIT_LOG
    ) -> SubmitReply | CallbackFailure:
        """
        Start one piece of work, as soon as there is a place for it.

        Args:
            submit_request: What is to be started.
            submit_log: Where it is written down.

        Returns:
            What tells that it was started, or what the ledger or the hook raised.

        Raises:
            SubmitUncertain: It may or may not have been started.
            Refused: It was refused; nothing was started.
            GenerationFailed: It failed at once.
            RateLimited: It was refused for its rate again and again; nothing was started.
            TransportError: It never left this machine, again and again.
            ClientClosed: The client was closed; nothing was started.
        """
        self._endpoint_service.check_open()
        slots = self._slots_of(self._sender.credentials.key_tier(submit_request.endpoint.tier))
        number = next(self._numbers)
        links: dict[str, str] = {}
        for failures in itertools.count(1):
            await self._acquire_slot(submit_request, number, slots)
            result = await self._attempt(submit_request, number, links, slots, submit_log)
            if not isinstance(result, ModelsLabError):
                return result
            if failures >= self._pace.max_failures or not _is_retryable(result):
                raise result
            if not isinstance(result, RateLimited):
                pause = self._pace.backoff(failures, self._jitter())
                await self._endpoint_service.sleep_while_open(max(pause, result.retry_after or 0.0))
        raise AssertionError("unreachable")

    async def _attempt(
        self,
        submit_request: SubmitRequest,
        number: int,
        links: dict[str, str],
        slots: Slots,
        submit_log: SubmitLog,
    ) -> _SubmitResult:
        """Within a place, send the files of an order, and then itself."""
        try:
            # It may have been closed since the place was given.
            self._endpoint_service.check_open()
            linked_request = await self._uploader.upload_files(submit_request, links)
            self._endpoint_service.check_open()
        except ModelsLabError as error:
            match error:
                case RateLimited():
                    self._apply_rate_limit(submit_request, slots, error)
                case AuthenticationError() | PaymentRequired() if (
                    self._endpoint_service.shares_upload_key(submit_request)
                ):
                    slots.reject_waiting(original_error(error))
            self._release_unsent(submit_request, number, slots)
            return error
        except BaseException:
            self._release_unsent(submit_request, number, slots)
            raise
        return await self._submit_in_task(linked_request, number, slots, submit_log)

    def _release_unsent(self, submit_request: SubmitRequest, number: int, slots: Slots) -> None:
        slots.release()
        slots.duplicates.release(submit_request.payload_hash, number)

    def tickets_for(self, hint: WebhookHint) -> set[Ticket]:
        """The open tickets that a webhook speaks of by the mark of their request."""
        found = {slots.ticket_of(hint.track_id) for slots in self.slots.values()} - {None}
        if not found:
            # It may come before the reply to its submit, whose ticket is then due at once.
            self._early_webhook_ids.extend(map(hash, filter(None, (hint.track_id, *hint.ids))))
        return {ticket for ticket in found if ticket is not None}

    async def aclose(self) -> None:
        """Send away those in line, and wait for what is on its way: it may be paid for."""
        self._endpoint_service.close()
        for slots in self.slots.values():
            slots.close(ClientClosed(CLOSED_MESSAGE))
        while self._submit_tasks:
            await asyncio.wait(self._submit_tasks)

    def _slots_of(self, tier: Tier) -> Slots:
        if tier not in self.slots:
            self.slots[tier] = Slots(self._slot_limit, self._poller)
        return self.slots[tier]

    async def _acquire_slot(self, submit_request: SubmitRequest, number: int, slots: Slots) -> None:
        """Wait for a place, and first for the turn of a payload that the server saw too often."""
        while True:
            await slots.duplicates.acquire(submit_request.payload_hash, number)
            try:
                await slots.acquire(number)
            except BaseException:
                slots.duplicates.release(submit_request.payload_hash, number)
                raise
            if slots.duplicates.may_submit(submit_request.payload_hash, number):
                return
            slots.release()

    async def _submit_in_task(
        self, submit_request: SubmitRequest, number: int, slots: Slots, submit_log: SubmitLog
    ) -> _SubmitResult:
        submit_task = asyncio.create_task(
            self._send_and_record(submit_request, number, slots, submit_log),
            name="modelslab_async submit",
        )
        self._submit_tasks.add(submit_task)
        submit_task.add_done_callback(self._submit_tasks.discard)
        submit_task.add_done_callback(
            lambda _: slots.duplicates.release(submit_request.payload_hash, number)
        )
        try:
            return await asyncio.shield(submit_task)
        except asyncio.CancelledError:
            submit_task.add_done_callback(_log_abandoned)
            raise

    async def _send_and_record(
        self, submit_request: SubmitRequest, number: int, slots: Slots, submit_log: SubmitLog
    ) -> _SubmitResult:
        """Send it, once, and give the place to what came of it."""
        try:
            await submit_log.begin(submit_request)
        except BaseException as error:
            slots.release()
            if isinstance(error, Exception):
                return CallbackFailure(error)
            raise
        try:
            result = await self._send(submit_request)
        except BaseException:
            slots.hold_uncertain(submit_request.endpoint.name)
            _logger.warning(
                "cut off while on its way: %s", _uncertain_error(submit_request, "it was cut off")
            )
            raise
        slots.duplicates.on_reply(submit_request.payload_hash, number)
        match result:
            case Processing():
                slots.assign(
                    result.ticket,
                    endpoint=submit_request.endpoint.name,
                    eta=result.eta,
                    track_id=submit_request.track_id,
                    expects_webhook=self._webhooks.is_own(submit_request.params.get("webhook")),
                    has_early_webhook=not {
                        hash(submit_request.track_id),
                        hash(result.ticket.id),
                    }.isdisjoint(self._early_webhook_ids),
                )
            case RateLimited():
                self._apply_rate_limit(submit_request, slots, result)
                slots.release()
            case AuthenticationError() | PaymentRequired():
                slots.reject_waiting(result)
                slots.release()
            case SubmitUncertain():
                slots.hold_uncertain(submit_request.endpoint.name)
            case _:
                slots.release(is_key_accepted=isinstance(result, (Success, GenerationFailed)))
        return await self._report_result(submit_request, result, submit_log)

    async def _report_result(
        self,
        submit_request: SubmitRequest,
        result: SubmitReply | ModelsLabError,
        submit_log: SubmitLog,
    ) -> _SubmitResult:
        """Write down what came of it, then tell; what started work is told whatever happens."""
        if isinstance(result, ModelsLabError):
            await submit_log.finish(submit_request, result)
            return result
        try:
            await submit_log.finish(submit_request, result)
            if self._on_submitted is not None:
                await self._on_submitted(_submitted_event(submit_request, result))
        except BaseException as error:
            note = f"it was raised after the work was started as {result.ticket}"
            with suppress(Exception):
                # Not every exception takes a note.
                error.add_note(note)
            if isinstance(error, (KeyboardInterrupt, SystemExit)) or is_cancelled():
                _logger.warning("%s: %s", type(error).__name__, note)
                raise
            return CallbackFailure(error, result.ticket)
        return result

    async def _send(self, submit_request: SubmitRequest) -> SubmitReply | ModelsLabError:
        family = self._families[submit_request.endpoint.resolved_by or ""]
        try:
            response = await self._sender.send(
                submit_request.endpoint.build_submit(submit_request.params), timeout=self._timeout
            )
            return read_submit_reply(
                family,
                submit_request.params,
                status_code=response.status_code,
                headers=response.headers,
                body=response.body,
                families=self._families,
                local_id=secrets.token_hex(8),
                received_at=time.time(),
            )
        except ModelsLabError as error:
            if not _may_have_started(error):
                return error
            cause = error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            cause = TransportError("the exchange was cancelled from within")
        except Exception as error:  # noqa: BLE001 -- whatever a transport raises, it may have sent.
            # Only its name: what is not ours may hold the key.
            cause = TransportError(f"the transport broke: {type(error).__name__}")
        uncertain = _uncertain_error(submit_request, cause.message)
        uncertain.__cause__ = cause
        return uncertain

    def _apply_rate_limit(
        self, submit_request: SubmitRequest, slots: Slots, error: RateLimited
    ) -> None:
        message = error.server_message.casefold()
        if "spam filter" in message:
            slots.duplicates.space_out(submit_request.payload_hash, error.retry_after)
        elif "queued" in message:
            slots.mark_full(error.retry_after or _DEFAULT_RETRY_AFTER_S)
        else:
            slots.pause(error.retry_after or _DEFAULT_RETRY_AFTER_S)


def _submitted_event(submit_request: SubmitRequest, reply: SubmitReply) -> Submitted:
    return Submitted(
        ticket=reply.ticket,
        endpoint=submit_request.endpoint.name,
        track_id=submit_request.track_id,
        payload_hash=submit_request.payload_hash,
        reply=reply,
    )


def _is_retryable(error: ModelsLabError) -> bool:
    """Whether what started nothing may go well a little later. A doubt is none of these."""
    match error:
        case TransportError():
            return not error.may_have_been_sent
        case _:
            # A server in trouble, when a file was sent to it; else that is a doubt.
            return isinstance(error, (RateLimited, ServerError))


def _may_have_started(error: ModelsLabError) -> bool:
    """Whether a submit that ended so may have started work all the same."""
    match error:
        case TransportError() | ConnectionImpossible():
            return error.may_have_been_sent
        case RateLimited():
            return False
        case _:
            return isinstance(error, TransientError)


def _uncertain_error(submit_request: SubmitRequest, reason: str) -> SubmitUncertain:
    id_text = f"track_id {submit_request.track_id}" if submit_request.track_id else "no track_id"
    where = "or in a webhook with that track_id" if submit_request.track_id else "by its time"
    return SubmitUncertain(
        f"{submit_request.endpoint.name} ({id_text}): {reason}; the work may or may not have been started; look "
        f"for it in what the service shows of your account {where} before you submit, and pay, "
        "again",
        endpoint=submit_request.endpoint.name,
        track_id=submit_request.track_id,
        payload_hash=submit_request.payload_hash,
    )


def _log_abandoned(submit_task: "asyncio.Task[_SubmitResult]") -> None:
    """Say what became of a submit whose caller has gone."""
    if submit_task.cancelled():
        return
    result = submit_task.exception() or submit_task.result()
    match result:
        case Processing() | Success():
            _logger.warning("started, though nobody waits for it any more: %s", result.ticket)
        case SubmitUncertain():
            _logger.warning("nobody waits for it any more: %s", result)
        case CallbackFailure(error, Ticket() as ticket):
            # Only its name: what is not ours may hold the key.
            name = type(error).__name__
            _logger.warning("started, though nobody hears of the %s: %s", name, ticket)
