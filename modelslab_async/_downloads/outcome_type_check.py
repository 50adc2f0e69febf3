"""Checks that an item is an outcome. The error for another item says what to pass instead."""

from .._models.replies import Failed, Success
from .._models.unresolved_outcomes import Outcome, Unresolved, Unsubmitted


def check_outcome(item: Outcome | Unsubmitted) -> None:
    """
    Raise an error if an item is not an outcome.

    Raises:
        TypeError: The item is not an outcome.
    """
    given: object = item
    if isinstance(given, (Success, Failed, Unresolved, Unsubmitted)):
        return
    hint = (
        "generate_many gives pairs, so write: "
        "stream(outcome async for _, outcome in client.generate_many(...))"
        if isinstance(given, tuple)
        else "for tickets write: stream(client.stream(tickets))"
    )
    raise TypeError(
        "the downloads take outcomes (Success, Failed, Unresolved, Unsubmitted), "
        f"got a {type(given).__name__}; {hint}"
    )
