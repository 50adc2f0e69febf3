"""Makes the result of a submission from what the journal records about its ticket."""

from .._downloads.save_result_types import Saved, SaveResult, Unsaved
from .._journal.results_of_tickets import RecordedResult
from .._models.download_errors import DownloadError
from .._models.errors import InvalidRequest
from .._models.replies import Success
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .poll_and_save_run import to_saved_file


def to_result(
    recorded: RecordedResult, *, first_run: int | None, saves_files: bool
) -> Outcome | SaveResult | None:
    """
    Return the recorded result of a ticket; None if polling or saving must go on.

    Args:
        recorded: The recorded outcome, and how saving the files ended.
        first_run: The number of the first run of this `generate_many` call; None if no run has
            begun yet. If an earlier run could not resolve or save the ticket, the result is None,
            because this call tries again.
        saves_files: Whether files are saved. If true, the result of a success is None until its
            files are saved.
    """
    outcome, save = recorded.outcome, recorded.save
    if isinstance(outcome, Unresolved):
        # `run` is None if the ticket succeeded or failed, but its row is damaged. No run polls
        # such a ticket again.
        run = recorded.unresolved_by
        return outcome if run is None or _is_of_this_call(run, first_run) else None
    if not isinstance(outcome, Success) or not saves_files:
        return outcome
    if save is None:
        return None
    files = tuple(map(to_saved_file, save.files))
    if save.error is None:
        return Saved(ticket=outcome.ticket, files=files, success=outcome)
    if not _is_of_this_call(save.run, first_run):
        return None
    cause = DownloadError(save.error, ticket=outcome.ticket, argument=save.argument)
    return Unsaved(ticket=outcome.ticket, cause=cause, files=files, success=outcome)


def unpollable_result(ticket: Ticket, error: ValueError) -> Unresolved:
    """
    Return the result of a ticket that has not ended and that this client cannot poll.

    Args:
        ticket: The ticket. If its id contains an API key, the key is redacted.
        error: Why the client cannot poll the ticket.
    """
    cause = InvalidRequest(str(error))
    cause.__cause__ = error
    return Unresolved(ticket=ticket, cause=cause)


def _is_of_this_call(run: int, first_run: int | None) -> bool:
    return first_run is not None and run >= first_run
