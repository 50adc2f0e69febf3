"""JournalSubmitRecorder: records each submit before it is sent, and its result afterwards."""

import asyncio
from functools import partial

from .._aio.yield_and_wakeup import wait_to_end
from .._engine.engine import Engine
from .._journal.own_submits import OwnSubmit, SubmitSettled, record_gone_error
from .._journal.submits import DuplicateSubmit
from .._models.errors import (
    GenerationFailed,
    ModelsLabError,
    SubmitUncertain,
    TransportError,
    UnusableFile,
)
from .._models.journal_errors import JournalError
from .._models.replies import Processing, Success
from .._models.submission import Submission
from .._models.ticket import Ticket
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_recorder import CallbackFailure, SubmitRecorder, SubmitResult
from .._submitting.submit_request import SubmitRequest
from ..journal import Journal, PendingSubmit
from .earlier_submits import EarlierSubmits, check_same, prepare, track_id_of
from .in_flight_submits import InFlightSubmit, InFlightSubmits
from .leased_tickets import Lease, recheck_interval, renewal_interval
from .own_submits_lease import OwnSubmitsLease
from .submit_gate import SubmitGate
from .uncertain_submit_errors import uncertain_error
from .unrecorded_results import UnrecordedResults


class JournalSubmitRecorder(SubmitRecorder):
    """
    Records the submits of this process in one journal.

    In the journal, these submits belong to a run of their own: see `OwnSubmitsLease`.

    Attributes:
        earlier: Finds the submits that the batch has recorded earlier.
    """

    def __init__(self, journal: Journal, *, lease: float) -> None:
        self.earlier = EarlierSubmits(journal)
        self._journal = journal
        self._lease = lease
        self._own_submits_lease = OwnSubmitsLease(journal, lease=lease)
        self._gate = SubmitGate(journal.path)
        self._in_flight = InFlightSubmits(on_cut_off=self._keep_cut_off)
        write_again = partial(self._write, is_repeated=True)
        self._unrecorded = UnrecordedResults(write_again, interval=renewal_interval(lease))
        # Maps the track_id of a submit to an error. This process wanted to delete the record of the
        # submit, but the record was already gone. The next `begin` of the submit raises the error.
        self._settled: dict[str, DuplicateSubmit] = {}

    async def begin(self, submit_request: SubmitRequest) -> None:
        """
        Record a request that is about to be sent.

        Raises:
            JournalError: The journal cannot be written, or the batch drains or closes; nothing is
                sent.
            ValueError: Another submit has the same track_id or submission key; nothing is sent.
        """
        self._gate.check()
        in_flight = self._in_flight.enter()
        # If the result of an earlier attempt at this submit is unrecorded, record it first. If that
        # attempt started no work, this deletes its record, which would conflict with the new one.
        await self._unrecorded.record(submit_request.submit_id)
        if (settled := self._settled.pop(submit_request.submit_id, None)) is not None:
            raise settled
        submit = self._pending_submit(submit_request)
        run_id = await self._own_submits_lease.run_id()
        record_own = self._journal.leases.record_own
        in_flight.lease = Lease(self._journal, run_id, self._lease)
        while in_flight.own is None:
            # If this task is cancelled, the journal may write the record all the same.
            recording = asyncio.create_task(record_own(submit, run_id, lease=self._lease))
            cancelled = await wait_to_end(recording)
            in_flight.own = recording.result()
            if cancelled is not None:
                raise cancelled
            if in_flight.own is None:
                run_id = await self._own_submits_lease.run_id(ended=run_id)
                in_flight.lease = Lease(self._journal, run_id, self._lease)

    def check_sendable(self, task: asyncio.Task[SubmitResult] | None) -> None:
        """
        Check that the recorded submit of `task` may still be sent.

        Raises:
            JournalError: The batch drains or closes.
            TransportError: The lease of the submit's record is over, so another process may have
                settled the submit. The next attempt records the submit again before it sends it.
        """
        self._gate.check()
        if not self._in_flight.begin_sending(task):
            error = TransportError(
                f"its lease of {self._lease:g} s ended before it was sent, because this process "
                "stood still or its journal was slow",
                may_have_been_sent=False,
            )
            error.advice = "if this happens often, open the batch with a longer lease"
            raise error

    def refusal(self) -> JournalError | None:
        """Return the error for a further attempt, if the batch drains or closes; else None."""
        return self._gate.refusal()

    async def finish(
        self, _submit_request: SubmitRequest, result: SubmitReply | ModelsLabError, /
    ) -> None:
        """
        Record the result of a submit. If it certainly started no work, delete its record instead.

        If the journal cannot be written, keep the result in memory, and record it as soon as
        possible.

        Raises:
            JournalError: The submit started work, but its ticket could not be recorded yet.
        """
        own = self._in_flight.recorded()
        try:
            await self._write(own, result)
        except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
            # This also logs the journal's error if the caller gets the submit's error.
            self._unrecorded.keep(own, result)
            match result:
                case Processing() | Success() | GenerationFailed(ticket=Ticket()):
                    raise
                case _ if not isinstance(error, JournalError):
                    raise
        finally:
            # A callback of the caller may run next in this task, and may be slow. `close` must not
            # wait for it.
            self._in_flight.leave()

    def _keep_cut_off(self, in_flight: InFlightSubmit) -> None:
        """Keep a submit whose task has ended without a reply: as uncertain, or as unsent."""
        if (own := in_flight.own) is None:
            return
        unsent = ModelsLabError("it was cut off before it was sent")
        self._unrecorded.keep(
            own, uncertain_error(own.submit) if in_flight.may_have_been_sent else unsent
        )

    async def _write(
        self, own: OwnSubmit, result: SubmitReply | ModelsLabError, *, is_repeated: bool = False
    ) -> None:
        leases = self._journal.leases
        match result:
            case Processing():
                await leases.confirm_sent(own, result.ticket)
            case Success():
                await leases.confirm_sent(own, result.ticket, result=result)
            case GenerationFailed(ticket=Ticket() as ticket, reply=reply):
                await leases.confirm_sent(own, ticket, result=reply)
            case SubmitUncertain(ticket=ticket):
                await leases.mark_uncertain(own, named_ticket=ticket)
            case _:
                if not await leases.withdraw_own(own):
                    gone = record_gone_error(own, may_have_deleted=is_repeated)
                    self._settled[own.submit.track_id] = gone

    def _pending_submit(self, submit_request: SubmitRequest) -> PendingSubmit:
        return PendingSubmit(
            track_id=submit_request.submit_id,
            endpoint=submit_request.endpoint.name,
            payload_hash=submit_request.payload_hash,
            recorded_at=self._journal.clock(),
            key=submit_request.key,
            columns=submit_request.columns,
        )

    async def submit_once(
        self, engine: Engine, submission: Submission
    ) -> SubmitReply | CallbackFailure:
        """
        Send a submission or, if it has been sent before, return the recorded reply.

        Raises:
            JournalError: The batch drains or closes, and nothing was sent.
            UnusableFile: A file of the submission cannot be read, and it was not sent before.
            ValueError: The submission is invalid. Or a different submission was sent with the same
                track_id or submission key.
        """
        prepared = await prepare(engine, submission)
        # Only a submission key or a track_id can identify an earlier submit. If the submission has
        # neither, send it.
        if submission.key is None and track_id_of(submission) is None:
            _check_not_empty(submission)
            return await self._gate.submit(engine, _readable(prepared), self)
        if isinstance(prepared, SubmitRequest):
            # An earlier call may have ended before it could raise its error. Discard the error,
            # because this call is a new decision to submit.
            self._settled.pop(prepared.submit_id, None)
        duplicate: CallbackFailure | None = None
        while True:
            if (earlier := await self._recorded_reply(submission, prepared)) is not None:
                return earlier
            if duplicate is not None and isinstance(duplicate.error, SubmitSettled):
                # Another process has settled this submit, and its user may have submitted the work
                # in another journal. So do not send it again.
                return duplicate
            match await self._gate.submit(engine, _readable(prepared), self):
                case CallbackFailure(DuplicateSubmit()) as duplicate:
                    # Another task or process has recorded the same submit. Wait for its reply.
                    continue
                case result:
                    return result

    async def _recorded_reply(
        self, submission: Submission, prepared: SubmitRequest | UnusableFile
    ) -> SubmitReply | None:
        """
        Return the recorded reply to a submission; None if the submission was never sent.

        If another process or task is sending it now, wait until the reply is recorded.

        Raises:
            SubmitUncertain: It may have been sent, and may have started work.
            GenerationFailed: It was sent, and its generation failed.
            ValueError: A different submission was sent with the same track_id or submission key.
        """
        while (submit := await self.earlier.find(submission)) is not None:
            check_same(submission, prepared, submit)
            if submit.ticket is not None:
                return await self.earlier.reply_to(submit.ticket)
            if await self.earlier.is_uncertain(submit):
                raise uncertain_error(submit)
            await self.pause_for_result(submit.track_id)
        return None

    async def pause_for_result(self, track_id: str) -> None:
        """
        Wait briefly for the result of a submit that another task or process is sending.

        If a task of this process already has the result but failed to write it to the journal, the
        result is only in memory. So first try again to record it.

        Raises:
            JournalError: This process has the result, but still cannot record it.
        """
        await self._unrecorded.record(track_id)
        await asyncio.sleep(recheck_interval(self._lease))

    def drain(self) -> None:
        """Send no further submits, and finish those in flight. Those that wait to be sent fail."""
        self._gate.close("the batch is draining")

    def start_closing(self) -> None:
        """Do what `drain` does, because the batch is closing."""
        self._gate.close("the batch is closing")

    async def close(self) -> None:
        """
        Wait for all submits in flight, and try to record their results. Then end the lease.

        Call `start_closing` first. Otherwise, more submits may begin meanwhile.
        """
        await self._in_flight.wait_for_all()
        try:
            await self._unrecorded.aclose()
        finally:
            await self._own_submits_lease.close()


def _readable(prepared: SubmitRequest | UnusableFile) -> SubmitRequest:
    """Return the request of a submission. Raise `UnusableFile` if a file cannot be read."""
    if isinstance(prepared, UnusableFile):
        raise prepared
    return prepared


def _check_not_empty(submission: Submission) -> None:
    """Refuse an empty track_id, because the next call could not find the submit by it."""
    if submission.parameters.get("track_id") == "":
        raise ValueError(
            "the track_id, by which this journal knows a submit, is empty; give another, or leave "
            "it out for a random one"
        )
