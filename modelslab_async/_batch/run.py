"""Work: what a run does under one lease, as the batch sees it, and what all kinds of it share."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

T_co = TypeVar("T_co", covariant=True)

# So much that has ended is together at the most: in one commit, or ready and unread.
MAX_READY: Final = 100
# A lease is renewed so often within its time.
_RENEWALS_PER_LEASE: Final = 4
# Seconds after which to see again whether others have left something.
_MAX_RECHECK_S: Final = 1.0


class Run(Protocol[T_co]):
    """What a run does under one lease: a `Shift`, or a `Haul`."""

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
    """The last thing that work gives: there is no more, and why if something is wrong."""

    error: Exception | None = None


def renewal_interval(lease: float) -> float:
    """Seconds from one renewal of a lease to the next."""
    return lease / _RENEWALS_PER_LEASE


def recheck_interval(lease: float) -> float:
    """Seconds after which to see again whether others have left something."""
    return min(_MAX_RECHECK_S, renewal_interval(lease))
