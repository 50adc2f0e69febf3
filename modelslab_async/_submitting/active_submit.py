"""ActiveSubmit: the state of one submit that is in progress."""

import asyncio
from collections.abc import Callable

from attrs import Factory, define

from .._models.errors import (
    AuthenticationError,
    GenerationFailed,
    ModelsLabError,
    PaymentRequired,
    RateLimited,
    SubmitUncertain,
)
from .._models.replies import Processing, Success
from .file_reading import Upload
from .paid_submit_budget import BudgetShare
from .slots import Slots
from .submit_exchange import SubmitReply
from .submit_notifier import SubmitNotifier
from .submit_progress import SubmitProgress
from .submit_recorder import SubmitResult
from .submit_request import SubmitRequest
from .submit_retries import SubmitRetries


@define(eq=False)
class ActiveSubmit:
    """
    One submit that is in progress.

    Attributes:
        request: The request to send.
        number: The submit's number. Waiting submits with lower numbers go first.
        slots: The slots of the API key that the submit uses.
        notifier: Records the submit and reports its events.
        progress: How far the submit has come.
        retries: Decides whether and when the submit is sent again.
        share: The submit's reservation in the client's `SubmitBudget`.
        check_open: Raises `ClientClosed` if the client was closed.
        links: Maps the digest of each uploaded file to its link.
    """

    request: SubmitRequest
    number: int
    slots: Slots
    notifier: SubmitNotifier
    progress: SubmitProgress
    retries: SubmitRetries
    share: BudgetShare
    check_open: Callable[[], None]
    links: dict[str, str] = Factory(dict)
    _task: "asyncio.Task[SubmitResult] | None" = None
    _caller_wait: "asyncio.Future[SubmitResult] | None" = None

    async def acquire_slot(self) -> None:
        """
        Wait until the server's spam filter would accept the payload, then wait for a slot.

        Raises:
            ModelsLabError: The API key is refused, no credits are left, or the client is closed.
            ValueError: Other open clients of the shared account use different limits.
        """
        self.progress.stage = "slot"
        self.retries.begin_slot_wait()
        try:
            await self._acquire()
        except ModelsLabError as error:
            self.notifier.ended(error)
            raise

    async def _acquire(self) -> None:
        slots, payload = self.slots, self.request.payload_hash
        while True:
            self.notifier.acquiring(self.number)
            await slots.duplicates.acquire(payload, self.number)
            try:
                await slots.acquire(self.number)
            except BaseException:
                self.release_duplicate()
                raise
            # While this submit waited for its slot, the spam filter may have refused another submit
            # of the same payload. In that case, wait again.
            if slots.duplicates.may_submit(payload, self.number):
                return
            slots.release()

    def begin_request(self) -> float | None:
        """
        Record that a request begins: an upload or the submit itself.

        Return the connect timeout in seconds; None for the transport's own.
        """
        return self.retries.begin_request(self.progress.deadline)

    def on_uploaded(self, upload: Upload, size: int, elapsed: float) -> None:
        """Report an uploaded file, and record that the service has answered."""
        self.retries.record_answer()
        self.notifier.uploaded(upload, size, elapsed)

    def begin_attempt(
        self, task: "asyncio.Task[SubmitResult]", caller_wait: "asyncio.Future[SubmitResult]"
    ) -> None:
        """
        Record that `task` begins an attempt: it records the request, and then sends it.

        `caller_wait` is the future that the caller awaits. When the caller is cancelled, asyncio
        cancels this future at once, before the caller's own code runs.
        """
        self.progress.stage = "send"
        self._task, self._caller_wait = task, caller_wait
        self.share.begin_attempt()
        task.add_done_callback(self._on_ended)

    def begin_sending(self) -> None:
        """
        Check that the request may still be sent, and record that it is sent now.

        Raises:
            ModelsLabError: The request must not be sent any more.
        """
        self.check_sendable()
        self.progress.begin_sending(self._task)

    def check_sendable(self) -> None:
        """
        Check that the request may still be sent.

        `begin_sending` calls this method once the request is recorded. The transport calls it
        again once there is a connection. Recording and connecting may each take minutes, if the
        database or the network is down. Meanwhile, the caller may leave and submit the same work
        again.

        Raises:
            ModelsLabError: The caller has left, the client was closed, or the recorder no longer
                allows the submit.
        """
        try:
            self._check_sendable()
        except ModelsLabError:
            self.progress.attempt = None
            raise

    def _check_sendable(self) -> None:
        self.check_open()
        if self._caller_wait is not None and self._caller_wait.cancelled():
            raise ModelsLabError(
                f"the caller of the submit to {self.request.endpoint.name} left before the submit "
                "was sent; nothing was sent"
            )
        self.notifier.check_sendable(self._task)

    def _on_ended(self, task: "asyncio.Task[SubmitResult]") -> None:
        self.release_duplicate()
        if task.cancelled():
            self.share.end_attempt(asyncio.CancelledError())
        else:
            self.share.end_attempt(task.exception() or task.result())

    def settle_slot(self, result: SubmitReply | ModelsLabError, *, expects_webhook: bool) -> None:
        """Free the slot of a submit that has a result, unless work may occupy the slot."""
        slots, payload = self.slots, self.request.payload_hash
        endpoint = self.request.endpoint.name
        slots.duplicates.on_reply(payload, self.number)
        match result:
            case Processing():
                slots.assign(
                    result.ticket,
                    endpoint=endpoint,
                    eta=result.eta,
                    track_id=self.request.track_id,
                    expects_webhook=expects_webhook,
                )
            case RateLimited():
                slots.apply_rate_limit(result, payload)
                slots.release()
            case AuthenticationError() | PaymentRequired():
                slots.reject_waiting(result)
                slots.release()
            case SubmitUncertain():
                slots.hold_uncertain(endpoint)
            case _:
                slots.release(is_key_accepted=isinstance(result, (Success, GenerationFailed)))

    def release_duplicate(self) -> None:
        """Allow the next submit of the same payload to be sent."""
        self.slots.duplicates.release(self.request.payload_hash, self.number)

    def release_unsent(self) -> None:
        """Free the slot of an attempt that ended before the submit was sent."""
        self.slots.release()
        self.release_duplicate()
