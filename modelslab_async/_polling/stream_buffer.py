"""Inbox: many tickets of one caller, read from a source as a window allows. It sends nothing."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import aclosing
from typing import TypeAlias

from attrs import Factory, define

from .._aio.bell import Bell
from .._aio.cooperation import Turns, is_cancelled
from .._aio.iteration import each
from .._models.errors import AuthenticationError, ModelsLabError, PaymentRequired, PermissionDenied
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket, TicketLike
from .._models.tier import Tier

_FEW = 64
# What most open tickets share: named once, and without a deadline.
_ONCE = (1, 0.0)

Tickets: TypeAlias = Iterable[TicketLike] | AsyncIterable[TicketLike]


@define(eq=False)
class Inbox:
    """
    Many tickets: outcomes that were not taken yet, and what is still open, up to a window.

    It remembers as many outcomes as the window is wide, so that a ticket that its source names
    twice is asked about once; and what was refused, so that the rest of a long source is told so
    without a request.
    """

    window: int
    timeout: float | None
    scope_of: Callable[[Ticket], tuple[Tier, str]]
    sealed: bool = False
    source_error: Exception | None = None
    _open: dict[Ticket, tuple[int, float]] = Factory(dict)
    _unread: deque[Outcome] = Factory(deque)
    _recent: OrderedDict[Ticket, Outcome] = Factory(OrderedDict)
    _refused: dict[Tier | tuple[Tier, str], ModelsLabError] = Factory(dict)
    _deadlines: deque[tuple[float, Ticket]] = Factory(deque)
    _held: int = 0
    _error: BaseException | None = None
    _bell: Bell = Factory(Bell)
    _room: Bell = Factory(Bell)

    @property
    def follows(self) -> bool:
        """See `Watcher`: only how it ended is news."""
        return False

    @property
    def finished(self) -> bool:
        """Whether every ticket that will ever come has been taken."""
        return self.sealed and not self._open and not self._unread

    @property
    def open(self) -> tuple[Ticket, ...]:
        """The tickets that have no outcome yet."""
        return tuple(self._open)

    def expect(self, ticket: Ticket, now: float) -> bool:
        """Count a ticket in. Returns whether it is to be watched, or known here already."""
        self._held += 1
        known = self._recent.get(ticket) or self._refusal(ticket)
        if known is not None:
            self._unread.append(known)
            self._bell.ring()
            return False
        if ticket in self._open:
            times, deadline = self._open[ticket]
            self._open[ticket] = (times + 1, deadline)
            return False
        if self.timeout is None:
            self._open[ticket] = _ONCE
        else:
            self._open[ticket] = (1, now + self.timeout)
            self._line_up(now + self.timeout, ticket)
        return True

    def watched(self, ticket: Ticket, watch: "Callable[[Ticket, Inbox], object]") -> None:
        """Have a ticket watched; where that is refused, it is not expected any more."""
        try:
            watch(ticket, self)
        except Exception:
            del self._open[ticket]
            raise

    def hear(self, news: Processing | Outcome) -> None:
        """See `Watcher.hear`."""
        if isinstance(news, Processing):
            return
        self._unread.extend([news] * self._open.pop(news.ticket, (0, 0.0))[0])
        self._bell.ring()
        match news:
            case Unresolved(cause=AuthenticationError() | PaymentRequired()):
                self._refused[self.scope_of(news.ticket)[0]] = news.cause
            case Unresolved(cause=PermissionDenied()):
                self._refused[self.scope_of(news.ticket)] = news.cause
            case Unresolved():
                pass
            case _:
                self._recent[news.ticket] = news
                if len(self._recent) > self.window:
                    self._recent.popitem(last=False)

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""
        self._error = error
        self._bell.ring()

    def seal(self, error: Exception | None = None) -> None:
        """No more tickets will come, be it because their source raised an error."""
        self.sealed = True
        self.source_error = error
        self._bell.ring()

    async def room(self) -> None:
        """Wait until the window has room for one more ticket."""
        while self._held >= self.window:
            await self._room.wait()

    async def take(self) -> Outcome | None:
        """The next outcome; None when all have been taken, or when a deadline has passed."""
        while not self._unread and not (self.sealed and not self._open):
            if self._error is not None:
                raise self._error
            left = self._left()
            if left is not None and left <= 0:
                return None
            await self._bell.wait(left)
        if not self._unread:
            return None
        self._held -= 1
        self._room.ring()
        return self._unread.popleft()

    def overdue(self, now: float, limit: int) -> list[Ticket]:
        """Some of the open tickets whose time is up; empty when all are done."""
        late: dict[Ticket, None] = {}
        while len(late) < limit and self._deadlines and self._deadlines[0][0] <= now:
            deadline, ticket = self._deadlines.popleft()
            if self._is_due(deadline, ticket):
                late[ticket] = None
        return list(late)

    def _line_up(self, deadline: float, ticket: Ticket) -> None:
        if not self._deadlines:
            # Who waits already waits without an end; it is to learn of this one.
            self._bell.ring()
        self._deadlines.append((deadline, ticket))
        if len(self._deadlines) > 2 * len(self._open) + _FEW:
            self._deadlines = deque(each for each in self._deadlines if self._is_due(*each))

    def _is_due(self, deadline: float, ticket: Ticket) -> bool:
        """Whether a deadline still counts: the ticket may have ended, and been asked for again."""
        return self._open.get(ticket, (0, -1.0))[1] == deadline

    def _refusal(self, ticket: Ticket) -> Unresolved | None:
        if not self._refused:
            return None
        scope = self.scope_of(ticket)
        error = self._refused.get(scope[0]) or self._refused.get(scope)
        return Unresolved(ticket=ticket, cause=error.about(ticket)) if error else None

    def _left(self) -> float | None:
        while self._deadlines and not self._is_due(*self._deadlines[0]):
            self._deadlines.popleft()
        if not self._deadlines:
            return None
        return self._deadlines[0][0] - asyncio.get_running_loop().time()


async def feed(tickets: Tickets, inbox: Inbox, watch: Callable[[Ticket, Inbox], object]) -> None:
    """Read a source into an inbox, and have each new ticket watched, as its window allows."""
    clock = asyncio.get_running_loop().time
    turns = Turns()
    try:
        async with aclosing(each(tickets)) as source:
            async for given in source:
                ticket = Ticket.of(given)
                await inbox.room()
                if inbox.expect(ticket, clock()):
                    inbox.watched(ticket, watch)
                await turns.give()
        inbox.seal()
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        inbox.seal(RuntimeError("the source of tickets was cancelled"))
    except Exception as error:  # noqa: BLE001 -- whatever the source raises is the reader's.
        inbox.seal(error)


def no_text(tickets: Tickets) -> None:
    """
    Refuse a text where many tickets are wanted: it would be taken for its letters.

    Raises:
        ValueError: It is one.
    """
    if isinstance(tickets, str):
        raise ValueError(  # noqa: TRY004 -- one error type for every ill-formed ticket.
            f"many tickets come in a list, such as [{tickets!r}], not as a text"
        )
