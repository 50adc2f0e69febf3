"""Waiters: what holds a caller while the poller works on its ticket. They own no request."""

import asyncio

from attrs import Factory, define

from .._aio.bell import Bell
from .._models.errors import LookFault, WaitTimeout
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket


def timed_out(
    ticket: Ticket, seconds: float, last: Processing | None, fault: LookFault | None
) -> Unresolved:
    """The outcome of a ticket that a caller would not wait for any longer."""
    why = f" (the last look went wrong: {fault.message})" if fault else ""
    cause = WaitTimeout(
        f"not over after {seconds:g} s{why}; wait for the same ticket again to resume",
        ticket=ticket,
        last=last,
    )
    cause.__cause__ = fault
    return Unresolved(ticket=ticket, cause=cause, last=last)


class Nobody:
    """Has a ticket looked after without waiting for it."""

    follows = False

    def hear(self, news: Processing | Outcome) -> None:
        """See `Watcher.hear`."""

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""


NOBODY = Nobody()


class Answer:
    """One ticket: how it ended."""

    follows = False

    def __init__(self) -> None:
        # Errors are results here too: an exception that nobody comes to fetch would be warned of.
        self._future: asyncio.Future[Outcome | BaseException] = (
            asyncio.get_running_loop().create_future()
        )

    def hear(self, news: Processing | Outcome) -> None:
        """See `Watcher.hear`."""
        if not isinstance(news, Processing) and not self._future.done():
            self._future.set_result(news)

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""
        if not self._future.done():
            self._future.set_result(error)

    async def outcome(self, seconds: float | None) -> Outcome | None:
        """How it ended, or None if it has not after some seconds."""
        await asyncio.wait((self._future,), timeout=seconds)
        if not self._future.done():
            return None
        result = self._future.result()
        if isinstance(result, BaseException):
            raise result
        return result


@define(eq=False)
class Changes:
    """One ticket: the newest change that was not taken yet, and how it ended."""

    _newest: Processing | None = None
    _outcome: Outcome | None = None
    _error: BaseException | None = None
    _bell: Bell = Factory(Bell)

    @property
    def follows(self) -> bool:
        """See `Watcher`: every change is news."""
        return True

    def hear(self, news: Processing | Outcome) -> None:
        """See `Watcher.hear`."""
        if not isinstance(news, Processing):
            self._outcome = news
        else:
            self._newest = news
        self._bell.ring()

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""
        self._error = error
        self._bell.ring()

    async def change(self, seen: Processing | None) -> Processing | Outcome:
        """The next change after the one that was seen, or how it ended."""
        while True:
            if self._error is not None:
                raise self._error
            if self._outcome is not None:
                return self._outcome
            if self._newest is not None and self._newest != seen:
                return self._newest
            await self._bell.wait()
