"""PollGuards: functions that are asked before each poll, and may delay it. They send nothing."""

from collections.abc import Callable
from typing import TypeAlias

from .._models.ticket import Ticket

PollGuard: TypeAlias = Callable[[Ticket], bool]


class PollGuards:
    """Predicates that may delay polls. A ticket is polled if all of them return True."""

    def __init__(self) -> None:
        self._poll_guards: list[PollGuard] = []

    def allows(self, ticket: Ticket) -> bool:
        """Whether a ticket may be polled now."""
        return all(poll_guard(ticket) for poll_guard in self._poll_guards)

    def add(self, poll_guard: PollGuard) -> None:
        """Add a predicate."""
        self._poll_guards.append(poll_guard)

    def remove(self, poll_guard: PollGuard) -> None:
        """Remove a predicate."""
        self._poll_guards = [each for each in self._poll_guards if each != poll_guard]
