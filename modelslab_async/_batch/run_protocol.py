"""What the batch sees of a run, and what the kinds of runs share. It starts no task."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

T_co = TypeVar("T_co", covariant=True)

# The most outcomes in one commit, and the most results that wait for the caller.
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
        error: What ended the run; None if it is complete.
    """

    error: Exception | None = None


def renewal_interval(lease: float) -> float:
    """Return the seconds between two renewals of a lease."""
    return lease / _RENEWALS_PER_LEASE


def recheck_interval(lease: float) -> float:
    """Return the seconds after which to check whether other runs have left work."""
    return min(_MAX_RECHECK_S, renewal_interval(lease))
