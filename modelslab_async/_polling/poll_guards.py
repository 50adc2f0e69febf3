"""Guards: who may say that a ticket is not to be looked at now. They are asked before each look."""

from collections.abc import Callable
from typing import TypeAlias

from .._models.ticket import Ticket

Guard: TypeAlias = Callable[[Ticket], bool]


class Guards:
    """Whoever of the house has a say in the looks of one poller."""

    def __init__(self) -> None:
        self._guards: list[Guard] = []

    def admit(self, ticket: Ticket) -> bool:
        """Whether a ticket may be looked at."""
        return all(guard(ticket) for guard in self._guards)

    def join(self, guard: Guard) -> None:
        """Ask one more."""
        self._guards.append(guard)

    def leave(self, guard: Guard) -> None:
        """Ask one no more."""
        self._guards = [each for each in self._guards if each != guard]
