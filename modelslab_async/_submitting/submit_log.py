"""Ledger: where submits are written down, before and after. This one writes nothing."""

from typing import TypeAlias

from attrs import frozen

from .._models.errors import ModelsLabError
from .._models.replies import Processing, Success
from .._models.ticket import Ticket
from .submit_request import SubmitRequest

SubmitReply: TypeAlias = Processing | Success
"""What tells that work was started."""


@frozen
class CallbackFailure:
    """
    What a ledger or a hook raised. It is the caller's, and no word of the service on the submit.

    So it is handed on as a value: raised on the way, it could be taken for such a word.

    Attributes:
        error: The exception, as it was raised.
        ticket: The work that was started before, if any was.
    """

    error: BaseException
    ticket: Ticket | None = None


def reply_or_raise(result: SubmitReply | CallbackFailure) -> SubmitReply:
    """
    What tells that work was started.

    Raises:
        BaseException: Whatever the ledger or the hook raised.
    """
    if isinstance(result, CallbackFailure):
        raise result.error
    return result


class SubmitLog:
    """Hears of every submit that is about to be sent, and of what came of it."""

    async def begin(self, submit_request: SubmitRequest) -> None:
        """An order is about to be sent; if this raises, it is not."""

    async def finish(
        self, submit_request: SubmitRequest, result: SubmitReply | ModelsLabError
    ) -> None:
        """What came of an order that was sent."""
