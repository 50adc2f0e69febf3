"""Crowd: who stands in line, family by family. Families take turns, so that none waits for all."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from .._models.ticket import Ticket
from .due_heap import Waited
from .ready_queue import Line


class Member(Waited, Protocol):
    """What stands in line: an entry that belongs to a family."""

    @property
    def ticket(self) -> Ticket: ...


M = TypeVar("M", bound=Member)


@define(eq=False)
class Crowd(Generic[M]):
    """
    A line for each family, the one that was served the longest ago first.

    Where more is due than may go, each family gets the same share as long as it can use it; within
    a family the most overdue goes first.
    """

    _lines: dict[str, Line[M]] = field(factory=dict[str, Line[M]])

    def push(self, member: M) -> None:
        """Line a member up by its due time."""
        line = self._lines.get(member.ticket.family)
        if line is None:
            line = self._lines[member.ticket.family] = Line()
        line.push(member.due, member)

    def forget(self, member: M) -> None:
        """Count a member in line that nobody watches."""
        self._lines[member.ticket.family].forget()

    def strike(self, members: Sequence[M]) -> None:
        """Count some no more that were taken out, and forgotten after that."""
        for member in members:
            self._lines[member.ticket.family].strike()

    def when(self) -> float | None:
        """When the first one may go; None if nobody stands in line."""
        moments = [when for line in self._lines.values() if (when := line.when()) is not None]
        return min(moments, default=None)

    def pop(self, now: float, step: Callable[[M], float]) -> M:
        """Whose turn it is. Only once `when` has come."""
        family, line = next(each for each in self._lines.items() if _may_go(each[1], now))
        if len(self._lines) > 1:
            self._lines[family] = self._lines.pop(family)
        return line.pop(now, step)

    def resume(self, now: float) -> None:
        """After a standstill: what is in line goes out bit by bit."""
        for line in self._lines.values():
            line.resume(now)

    def drain(self, family: str | None) -> list[M]:
        """Take all out that somebody watches, or those of one family, in no order."""
        lines = [line for name, line in self._lines.items() if family in (None, name)]
        return [member for line in lines for member in line.drain()]


def _may_go(line: Line[M], now: float) -> bool:
    when = line.when()
    return when is not None and when <= now
