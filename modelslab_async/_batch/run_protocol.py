"""Run: the common interface of `PollRun` and `SaveRun`, and their intervals. It starts no task."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

T_co = TypeVar("T_co", covariant=True)

# The largest number of outcomes in one commit, and of results in the queue for the caller.
MAX_READY: Final = 100
_RENEWALS_PER_LEASE: Final = 4
_MAX_RECHECK_S: Final = 1.0


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
    The last item of a run's queue.

    Attributes:
        error: The error that ended the run; None if the run is complete.
    """

    error: BaseException | None = None


def renewal_interval(lease: float) -> float:
    """Return the seconds between two renewals of a lease."""
    return lease / _RENEWALS_PER_LEASE


def recheck_interval(lease: float) -> float:
    """Return the seconds after which to check again whether work of other runs can be claimed."""
    return min(_MAX_RECHECK_S, renewal_interval(lease))
