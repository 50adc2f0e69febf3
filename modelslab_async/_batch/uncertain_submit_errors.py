"""Tells users how to find out whether a recorded submit without a reply has started work."""

from datetime import UTC, datetime

from .._models.errors import SubmitUncertain
from .._registry.endpoints import ENDPOINTS
from ..journal import PendingSubmit


def uncertain_error(submit: PendingSubmit) -> SubmitUncertain:
    """Return the error for a recorded submit that may or may not have started work."""
    recorded_as = "track_id" if _has_track_id(submit) else "in the journal as"
    error = SubmitUncertain(
        f"{submit.endpoint} ({recorded_as} {submit.track_id}) may have been sent before, and may "
        f"or may not have started work: {where_to_look(submit)}",
        ticket=submit.named_ticket,
        endpoint=submit.endpoint,
        track_id=submit.track_id,
        payload_hash=submit.payload_hash,
    )
    error.advice = "then call `confirm` or `withdraw` of the journal"
    return error


def where_to_look(submit: PendingSubmit) -> str:
    """Return a text that tells the user where to look for the work, and what to search for."""
    named = submit.named_ticket
    first = (
        f"its reply names {named}, so wait for that ticket first; if it is not the work, "
        if named
        else ""
    )
    in_account = f"{first}look for it in your account at the service"
    if _has_track_id(submit):
        return f"{in_account}, or in a webhook with the track_id {submit.track_id}"
    return (
        f"{in_account}, by its time (sent about {sent_at(submit)}) or, if it was sent with a "
        f"track_id, by {submit.track_id}"
    )


def sent_at(submit: PendingSubmit) -> str:
    """Return the time, in ISO 8601, at which a submit was recorded, just before it was sent."""
    return datetime.fromtimestamp(submit.recorded_at, UTC).isoformat(timespec="seconds")


def _has_track_id(submit: PendingSubmit) -> bool:
    """
    Return whether the submit was certainly sent with its `track_id`.

    If the endpoint takes no `track_id`, or is not one of `ENDPOINTS`, the `track_id` in the journal
    may be a random string that was never sent.
    """
    endpoint = ENDPOINTS.get(submit.endpoint)
    return endpoint is not None and "track_id" in endpoint.parameters
