"""Run: the interface that `PollRun` and `SaveRun` share."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from .._models.journal_errors import JournalError

T_co = TypeVar("T_co", covariant=True)

# The maximum number of tickets that one commit adds to the journal.
MAX_ADDED: Final = 5000
# The maximum number of outcomes in one commit, and of results in the queue for the caller.
MAX_READY: Final = 100


class Run(Protocol[T_co]):
    """One run under one lease: a `PollRun` or a `SaveRun`."""

    run_id: int

    @property
    def has_lost_lease(self) -> bool: ...
    @property
    def is_released(self) -> bool: ...
    def start(self, *, timeout: float | None, window: int) -> None: ...
    async def next_results(self) -> Sequence[T_co] | None: ...
    def drain(self) -> None: ...
    async def close(self) -> None: ...


@frozen
class RunStopped:
    """
    The last item in the queue of a run's results. It says how the run ended.

    Attributes:
        error: The error that ended the run; None if the run is complete.
        is_closed: Whether the run was closed before it was complete.
    """

    error: BaseException | None = None
    is_closed: bool = False


def closed_error() -> JournalError:
    """Return the error for a caller whose run was closed."""
    return JournalError("the batch was closed; open it again")
