"""Guards: who may say that a ticket is not to be looked at now. They are asked before each look."""

from collections.abc import Callable
from typing import TypeAlias

from .._models.ticket import Ticket

PollGuard: TypeAlias = Callable[[Ticket], bool]


class PollGuards:
    """Whoever of the house has a say in the looks of one poller."""

    def __init__(self) -> None:
        self._poll_guards: list[PollGuard] = []

    def allows(self, ticket: Ticket) -> bool:
        """Whether a ticket may be looked at."""
        return all(poll_guard(ticket) for poll_guard in self._poll_guards)

    def add(self, poll_guard: PollGuard) -> None:
        """Ask one more."""
        self._poll_guards.append(poll_guard)

    def remove(self, poll_guard: PollGuard) -> None:
        """Ask one no more."""
        self._poll_guards = [each for each in self._poll_guards if each != poll_guard]
