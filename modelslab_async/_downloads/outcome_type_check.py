"""Checks that an argument is an outcome. If not, the error says what the caller must pass."""

from .._models.replies import Failed, Success
from .._models.ticket import Ticket
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


def check_success(method: str, success: Success) -> None:
    """
    Raise an error, with the name of the called method, if its argument is not a `Success`.

    Raises:
        TypeError: The argument is not a `Success`.
    """
    given: object = success
    if isinstance(given, Success):
        return
    hint = (
        f"the client waits for it, so write: downloads.{method}(await client.wait(ticket))"
        if isinstance(given, (str, Ticket))
        else "pass what client.wait or client.generate returns"
    )
    raise TypeError(f"{method} takes a Success, got a {type(given).__name__}; {hint}")
