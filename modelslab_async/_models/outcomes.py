"""How a wait ended: the server's word (Success, Failed) or ours (Unresolved)."""

from typing import TypeAlias

from attrs import frozen

from .errors import ModelsLabError
from .replies import Failed, Processing, Success
from .ticket import Ticket


@frozen(kw_only=True)
class Unresolved:
    """
    The wait ended, the job did not: the ticket can be waited for again.

    Attributes:
        ticket: What was waited for.
        cause: Why the wait ended: a `WaitTimeout`, a refusal, faults beyond the budget, or a
            closed client.
        last: The last reply that came, if any.
    """

    ticket: Ticket
    cause: ModelsLabError
    last: Processing | None = None


@frozen(kw_only=True)
class Unsubmitted:
    """
    No ticket came of a request, so there is nothing to wait for.

    Attributes:
        cause: Why: a refusal, an `UnusableFile`, or a `SubmitUncertain` where work may have been
            started.
    """

    cause: ModelsLabError


Outcome: TypeAlias = Success | Failed | Unresolved
