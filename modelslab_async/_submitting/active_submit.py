"""ActiveSubmit: one submit on its way through the submitter. It sends nothing."""

import asyncio

from attrs import Factory, define

from .._models.errors import ModelsLabError
from .slots import Slots
from .submit_budget import BudgetShare
from .submit_notifier import SubmitNotifier
from .submit_progress import SubmitProgress
from .submit_recorder import SubmitResult
from .submit_request import SubmitRequest
from .submit_retries import SubmitRetries


@define(eq=False)
class ActiveSubmit:
    """
    One submit on its way.

    Attributes:
        request: What is sent.
        number: Its position among the submits that wait. Lower numbers go first.
        slots: The slots of its key.
        notifier: Records the submit and reports its events.
        progress: How far it has come.
        retries: Whether and when it is sent again.
        share: Its share of the budget.
        links: The links of its uploaded files, by digest.
        connect_timeout: The maximum number of seconds that the next request may take to get a
            connection.
    """

    request: SubmitRequest
    number: int
    slots: Slots
    notifier: SubmitNotifier
    progress: SubmitProgress
    retries: SubmitRetries
    share: BudgetShare
    links: dict[str, str] = Factory(dict)
    connect_timeout: float | None = None

    async def acquire_slot(self) -> None:
        """
        Wait until the spam filter would accept the payload, then for a slot, and begin an attempt.

        Raises:
            ModelsLabError: All waiting submits were rejected, with this error.
        """
        self.progress.stage = "slot"
        try:
            await self._acquire()
        except ModelsLabError as error:
            self.notifier.ended(error)
            raise
        self.connect_timeout = self.retries.begin_attempt(self.progress.deadline)

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
            # The filter may have refused this payload while this submit waited for its slot.
            if slots.duplicates.may_submit(payload, self.number):
                return
            slots.release()

    def begin_sending(self, task: "asyncio.Task[SubmitResult]") -> None:
        """Note that a task sends the request now."""
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
        """Let the next submit of the same payload go."""
        self.slots.duplicates.release(self.request.payload_hash, self.number)

    def release_unsent(self) -> None:
        """Free the slot of an attempt that sent no submit."""
        self.slots.release()
        self.release_duplicate()
