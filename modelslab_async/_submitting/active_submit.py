"""ActiveSubmit: the state of one submit that is in progress."""

import asyncio

from attrs import Factory, define

from .._models.errors import ModelsLabError
from .file_reading import Upload
from .paid_submit_budget import BudgetShare
from .slots import Slots
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
        links: Maps the digest of each uploaded file to its link.
    """

    request: SubmitRequest
    number: int
    slots: Slots
    notifier: SubmitNotifier
    progress: SubmitProgress
    retries: SubmitRetries
    share: BudgetShare
    links: dict[str, str] = Factory(dict)

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

    def begin_sending(self, task: "asyncio.Task[SubmitResult]") -> None:
        """Record that `task` begins to send the request."""
        self.progress.begin_attempt(task)
        self.share.begin_attempt()
        task.add_done_callback(self._on_sent)

    def _on_sent(self, task: "asyncio.Task[SubmitResult]") -> None:
        self.release_duplicate()
        if task.cancelled():
            self.share.end_attempt(asyncio.CancelledError())
        else:
            self.share.end_attempt(task.exception() or task.result())

    def release_duplicate(self) -> None:
        """Allow the next submit of the same payload to be sent."""
        self.slots.duplicates.release(self.request.payload_hash, self.number)

    def release_unsent(self) -> None:
        """Free the slot of an attempt that ended before the submit was sent."""
        self.slots.release()
        self.release_duplicate()
