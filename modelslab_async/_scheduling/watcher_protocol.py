"""The protocol of a watcher, which gets the changes and the outcomes of its tickets."""

from contextvars import Context
from typing import Protocol

from .._models.replies import Processing
from .._models.unresolved_outcomes import Outcome


class Watcher(Protocol):
    """
    Waits for one or more tickets on behalf of a caller.

    Attributes:
        wants_updates: Whether the watcher is notified of every change, and not only of the outcome.
        context: The context variables of the caller; None if no caller waits.
    """

    @property
    def wants_updates(self) -> bool: ...
    @property
    def context(self) -> Context | None: ...

    def notify(self, update: Processing | Outcome) -> None:
        """Receive a change of a watched ticket, or its outcome."""

    def fail(self, error: BaseException) -> None:
        """Receive an exception that ends the wait, such as a defect that stopped the poller."""
