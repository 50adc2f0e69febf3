"""EarlierSubmits: finds what a batch has recorded of earlier submits. It sends nothing."""

from .._engine.engine import Engine
from .._models.errors import GenerationFailed, UnusableFile
from .._models.replies import Failed, Processing, Success
from .._models.submission import Submission
from .._models.ticket import Ticket
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_request import SubmitRequest
from ..journal import Journal, PendingSubmit


class EarlierSubmits:
    """
    The submits of one journal, including those that this process has in flight.

    This process knows its own submits better than the journal does: another process may have
    deleted the record of one that is still in flight. So look among them first.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def find(self, submission: Submission) -> PendingSubmit | None:
        """
        Return the submit with the submission's key, or else the one with its track_id.

        Return None if there is neither.
        """
        if submission.key is not None:
            submit = await self.find_by_key(submission.key)
            if submit is not None:
                return submit
        if (track_id := track_id_of(submission)) is None:
            return None
        own = self._journal.leases.unfinished.find(track_id)
        return own or await self._journal.find_submit(track_id)

    async def find_by_key(self, key: str) -> PendingSubmit | None:
        """Return the submit with this submission key; None if there is none."""
        own = self._journal.leases.unfinished.find(None, key=key)
        return own or await self._journal.find_submit_by_key(key)

    async def is_uncertain(self, submit: PendingSubmit) -> bool:
        """Return whether a recorded submit may have started work, and no reply is expected."""
        return submit.track_id in {each.track_id for each in await self._journal.uncertain()}

    async def reply_to(self, ticket: Ticket) -> SubmitReply:
        """
        Return what the journal knows about the work of a submit.

        Raises:
            GenerationFailed: The work failed.
        """
        match await self._journal.last(ticket):
            case Processing() | Success() as reply:
                return reply
            case Failed() as failed:
                raise GenerationFailed.of(failed)
            case _:
                return Processing(ticket=ticket)


def track_id_of(submission: Submission) -> str | None:
    """Return the caller's own track_id of a submission as a string; None if there is none."""
    track_id = submission.parameters.get("track_id")
    return None if track_id in (None, "") else str(track_id)


async def prepare(engine: Engine, submission: Submission) -> SubmitRequest | UnusableFile:
    """
    Check a submission and read its files. If a file cannot be read, return the error.

    The caller may have deleted a file after an earlier submit, so the error does not matter then.
    """
    try:
        return await engine.prepare(submission)
    except UnusableFile as error:
        return error


def is_same_work(
    submission: Submission, prepared: SubmitRequest | UnusableFile, submit: PendingSubmit
) -> bool:
    """
    Return whether a recorded submit has the same endpoint and parameters as a submission.

    If a file of the submission cannot be read, compare only the endpoints.
    """
    is_same_payload = isinstance(prepared, UnusableFile) or (
        prepared.payload_hash == submit.payload_hash
    )
    return is_same_payload and submission.endpoint == submit.endpoint


def check_same(
    submission: Submission, prepared: SubmitRequest | UnusableFile, submit: PendingSubmit
) -> None:
    """
    Check that a recorded submit, which `EarlierSubmits.find` found, is that of a submission.

    Raises:
        ValueError: The submit has another submission key, another endpoint or another payload.
    """
    has_same_key = submit.key is not None and submit.key == submission.key
    what, value = ("key", submit.key) if has_same_key else ("track_id", submit.track_id)
    has_other_key = not has_same_key and None not in (submit.key, submission.key)
    if has_other_key or not is_same_work(submission, prepared, submit):
        raise ValueError(
            f"{what} {value!r} is in this journal for another submit to {submit.endpoint}; "
            f"give each submit its own {what}"
        )
