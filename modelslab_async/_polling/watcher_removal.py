"""WatcherRemoval: removes a watcher from all its tickets, a few at a time. It polls nothing."""

from collections.abc import Callable, Sequence

import anyio.abc

from .._aio.cooperation import Yielder
from .._models.ticket import Ticket
from .._scheduling.watcher_protocol import Watcher


class WatcherRemoval:
    """
    Removes watchers from all their tickets without blocking the event loop.

    Args:
        unwatch: Removes a watcher from one ticket.
    """

    def __init__(self, unwatch: Callable[[Ticket, Watcher], object]) -> None:
        self._unwatch = unwatch
        self._pending: list[tuple[Sequence[Ticket], Watcher]] = []
        self._leaving: list[Watcher] = []

    def __bool__(self) -> bool:
        return bool(self._leaving)

    @property
    def leaving(self) -> frozenset[Watcher]:
        """The watchers that still have to be removed from some of their tickets."""
        return frozenset(self._leaving)

    def add(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        """Queue the removal of a watcher from its open tickets."""
        self._pending.append((tickets, watcher))
        self._leaving.append(watcher)

    def start(self, group: anyio.abc.TaskGroup) -> None:
        """Start a task for each removal in the queue."""
        while self._pending:
            group.start_soon(self._drop_all, *self._pending.pop())

    async def _drop_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        yielder = Yielder()
        for ticket in tickets:
            self._unwatch(ticket, watcher)
            await yielder.maybe_yield()
        self._leaving.remove(watcher)
