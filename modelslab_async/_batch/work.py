"""Work: what a run does under one lease, as the batch sees it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


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
