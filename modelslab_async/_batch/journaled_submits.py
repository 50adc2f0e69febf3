"""Submits: what a batch starts, written into its journal before it is sent and after."""

import asyncio
import logging

from .._models.errors import GenerationFailed, ModelsLabError, SubmitUncertain
from .._models.journal_errors import JournalError
from .._models.replies import Failed, Processing, Success
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_log import SubmitLog
from .._submitting.submit_request import SubmitRequest
from ..journal import Journal, PendingSubmit
from .run import renewal_interval

_logger = logging.getLogger("modelslab_async")


class JournaledSubmits(SubmitLog):
    """
    The submits of one process to one journal.

    They have a run of their own, whose lease says that this process lives and will hear the
    answers: until it is over, nobody else calls them uncertain.
    """

    def __init__(self, journal: Journal, *, lease: float) -> None:
        self._journal = journal
        self._lease = lease
        self._run_id: int | None = None
        self._begin_lock = asyncio.Lock()
        self._renewal_task: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[object]] = set()

    async def begin(self, submit_request: SubmitRequest) -> None:
        """
        Write down an order that is about to be sent.

        Raises:
            JournalError: The journal cannot be written; nothing is sent.
            ValueError: Another submit has the same track_id; nothing is sent.
        """
        if (task := asyncio.current_task()) is not None:
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
        await self._journal.record_submit(
            submit_request.submit_id,
            endpoint=submit_request.endpoint.name,
            payload_hash=submit_request.payload_hash,
            run_id=await self._leased_run_id(),
        )

    async def finish(
        self, submit_request: SubmitRequest, end: SubmitReply | ModelsLabError
    ) -> None:
        """Write down the ticket, or forget what started nothing. What is uncertain stays."""
        match end:
            case Processing():
                await self._journal.confirm(submit_request.submit_id, end.ticket)
            case Success():
                await self._journal.confirm(submit_request.submit_id, end.ticket, result=end)
            case SubmitUncertain():
                pass
            case _:
                await self._withdraw(submit_request)

    async def recorded_reply(self, submit_request: SubmitRequest) -> SubmitReply | None:
        """
        What became of an order that was sent before; None if it never was.

        Raises:
            SubmitUncertain: Nobody knows.
            GenerationFailed: It failed.
            ValueError: Something else was sent with its track_id.
        """
        submit = await self._journal.find_submit(submit_request.submit_id)
        if submit is None:
            return None
        if (submit.endpoint, submit.payload_hash) != (
            submit_request.endpoint.name,
            submit_request.payload_hash,
        ):
            raise ValueError(
                f"track_id {submit_request.submit_id!r} is in this journal for another submit to "
                f"{submit.endpoint}; each submit has its own"
            )
        if submit.ticket is None:
            raise _uncertain_error(submit)
        match await self._journal.last(submit.ticket):
            case Processing() | Success() as reply:
                return reply
            case Failed() as failed:
                raise GenerationFailed.of(failed)
            case _:
                return Processing(ticket=submit.ticket)

    async def close(self) -> None:
        """Wait for what is on its way, whose end is to be written down, and end the run."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)
        if self._renewal_task is not None:
            self._renewal_task.cancel()
            await asyncio.wait([self._renewal_task])
        if self._run_id is not None:
            try:
                await self._journal.leases.end_run(self._run_id)
            except JournalError as error:
                _logger.warning("a run stays open for up to %g s: %s", self._lease, error)

    async def _withdraw(self, submit_request: SubmitRequest) -> None:
        try:
            await self._journal.withdraw(submit_request.submit_id)
        except JournalError as error:
            _logger.warning(
                "submit %s started nothing, and stays among the uncertain: %s",
                submit_request.submit_id,
                error,
            )

    async def _leased_run_id(self) -> int:
        async with self._begin_lock:
            if self._run_id is None:
                self._run_id = await self._journal.leases.begin_run(lease=self._lease)
                self._renewal_task = asyncio.create_task(
                    self._keep_lease(self._run_id), name="modelslab_async submits"
                )
            return self._run_id

    async def _keep_lease(self, run_id: int) -> None:
        """Renew the lease; once another process has ended it, the next submit begins a new run."""
        while True:
            await asyncio.sleep(renewal_interval(self._lease))
            try:
                if not await self._journal.leases.renew(run_id, lease=self._lease):
                    self._run_id = None
                    return
            except JournalError as error:
                _logger.warning("the lease could not be renewed, trying again: %s", error)


def _uncertain_error(submit: PendingSubmit) -> SubmitUncertain:
    return SubmitUncertain(
        f"{submit.endpoint} (track_id {submit.track_id}) was sent before, and nobody knows whether "
        "it started work: look for it in what the service shows of your account or in a webhook "
        "with that track_id, then tell the journal by `confirm` or `withdraw`",
        endpoint=submit.endpoint,
        track_id=submit.track_id,
        payload_hash=submit.payload_hash,
    )
