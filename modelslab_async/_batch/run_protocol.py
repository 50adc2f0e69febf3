"""Run: the common interface of `PollRun` and `SaveRun`, and what both use. It starts no task."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from .._models.journal_errors import JournalError

T_co = TypeVar("T_co", covariant=True)

# The largest number of outcomes in one commit, and of results in the queue for the caller.
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


class TicketFeed:
    """
    Keeps the runs of a batch going while submits still add tickets to the journal.

    Attributes:
        is_closed: Whether no more tickets will be added, so that a run may end.
        first_run: The number of the first run that the feed keeps going; None before it begins.
        draining: Set when the runs begin nothing new. Then nothing should be submitted either.
    """

    def __init__(self, *, is_closed: bool = False) -> None:
        self.is_closed = is_closed
        self.first_run: int | None = None
        self.draining = asyncio.Event()
        self._listeners: list[Callable[[], object]] = []

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call a function whenever a ticket was added, and when the feed is closed."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], object]) -> None:
        """Stop calling a function."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def notify(self) -> None:
        """Let the runs claim the tickets that were added."""
        for listener in [*self._listeners]:
            listener()

    def close(self) -> None:
        """Let the runs end when no ticket is open."""
        self.is_closed = True
        self.notify()


@frozen
class RunStopped:
    """
    The last item of a run's queue.

    Attributes:
        error: The error that ended the run; None if the run is complete.
        is_closed: Whether the run was closed while it had open tickets.
    """

    error: BaseException | None = None
    is_closed: bool = False

    def raise_error(self) -> None:
        """Raise the error that ended the run, if there is one."""
        if self.is_closed:
            raise closed_error()
        if self.error is not None:
            raise self.error


def closed_error() -> JournalError:
    """Return the error for a caller whose run was closed."""
    return JournalError("the batch was closed; open it again")
