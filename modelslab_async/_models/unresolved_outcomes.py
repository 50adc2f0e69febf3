"""`Unresolved` and `Unsubmitted`: results without a final reply. Also the type `Outcome`."""

from typing import TypeAlias

from attrs import frozen

from .errors import ModelsLabError
from .html_repr import html_of
from .replies import Failed, Processing, Success
from .ticket import Ticket


@frozen(kw_only=True)
class Unresolved:
    """
    The wait ended, but the job may go on. The caller can wait for the ticket again.

    Attributes:
        ticket: The ticket that the caller waited for.
        cause: Why the wait ended: a timeout, a refusal, too many failed polls, or a closed client.
            In a batch, the cause is a `JournalDamaged` if the recorded outcome can no longer be
            read. In `Batch.generate_many`, the cause is an `InvalidRequest` if the client cannot
            poll the recorded ticket. The `__cause__` of the `InvalidRequest` says why.
        last: The most recent reply, if any.
    """

    ticket: Ticket
    cause: ModelsLabError
    last: Processing | None = None

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return html_of(self.ticket, "unresolved", self.cause.message)


@frozen(kw_only=True)
class Unsubmitted:
    """
    A submit made no ticket, so there is nothing to wait for.

    Attributes:
        cause: The error, such as a refusal or an `UnusableFile`. A `SubmitUncertain` means that the
            work may have been started.
    """

    cause: ModelsLabError

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return html_of("no ticket", "unsubmitted", str(self.cause))


Outcome: TypeAlias = Success | Failed | Unresolved
