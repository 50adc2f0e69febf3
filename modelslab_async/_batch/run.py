"""Work: what a run does under one lease, as the batch sees it, and what all kinds of it share."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

T_co = TypeVar("T_co", covariant=True)

# So much that has ended is together at the most: in one commit, or ready and unread.
GROUP: Final = 100
# A lease is renewed so often within its time.
_BEATS: Final = 4
# Seconds after which to see again whether others have left something.
_PATIENCE: Final = 1.0


class Work(Protocol[T_co]):
    """What a run does under one lease: a `Shift`, or a `Haul`."""

    run: int

    @property
    def lapsed(self) -> bool: ...
    @property
    def left(self) -> bool: ...
    def start(self, *, timeout: float | None, window: int) -> None: ...
    async def settled(self) -> Sequence[T_co] | None: ...
    def drain(self) -> None: ...
    async def close(self) -> None: ...


@frozen
class Stop:
    """The last thing that work gives: there is no more, and why if something is wrong."""

    error: Exception | None = None


def beat_of(lease: float) -> float:
    """Seconds from one renewal of a lease to the next."""
    return lease / _BEATS


def rest_of(lease: float) -> float:
    """Seconds after which to see again whether others have left something."""
    return min(_PATIENCE, beat_of(lease))
