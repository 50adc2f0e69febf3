"""Yields the outcomes of many tickets, in the order in which the tickets end."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import Context, copy_context
from typing import NamedTuple

from attrs import Factory, define

from .._aio.iteration import read_source
from .._aio.yield_and_wakeup import Wakeup, Yielder
from .._models.argument_checks import check_count, check_nonnegative_seconds, check_tickets
from .._models.errors import AuthenticationError, ModelsLabError, PaymentRequired, PermissionDenied
from .._models.key_kind import Tier
from .._models.replies import Processing
from .._models.ticket import Ticket, TicketLike, Tickets
from .._models.unresolved_outcomes import Outcome, Unresolved
from .engine import Engine

_MAX_STALE_DEADLINES = 64
# If many deadlines have passed, a stream times out this many tickets, yields their outcomes, and
# then times out the next ones.
_TIMEOUTS_PER_YIELD = 64


class _OpenTicket(NamedTuple):
    """
    An open ticket of a stream.

    Attributes:
        times: How many times the source has yielded the ticket.
        deadline: The time at which the ticket times out; 0.0 for never.
    """

    times: int
    deadline: float


# Most tickets of a stream occur once in its source and have no deadline. They share this object, to
# save memory.
_ONCE_NO_DEADLINE = _OpenTicket(1, 0.0)
_NOT_OPEN = _OpenTicket(0, -1.0)


@define(eq=False)
class StreamBuffer:
    """
    Watches all tickets of one stream, and stores the outcomes that are not yet read.

    The buffer remembers the most recent successes and failures, up to `recent` of them. A ticket
    that the source yields again gets the remembered outcome, without a poll. When the server
    refuses an API key, the remaining tickets of that key end without a request. The same holds for
    the tickets of a family that the server refuses.

    Deadlines are in a queue, the earliest first. When a ticket ends, its deadline becomes stale. A
    stale deadline is removed when it reaches the front of the queue. If more than about half of the
    deadlines are stale, all stale ones are removed at once.

    Attributes:
        window: The maximum number of tickets that are open or have an unread outcome.
        recent: The maximum number of outcomes that are remembered.
        timeout: The seconds after which an open ticket times out; None for no limit.
        scope_of: Returns the tier of the API key that polls a ticket, and the ticket's family.
        is_full: Whether `window` tickets are open or have an unread outcome. A new ticket then
            waits for room.
        is_source_read: Whether the source has no more tickets.
        source_error: The exception that the source raised; None for no exception.
        context: The context variables of the caller that reads the stream.
        wants_updates: False, because a stream needs outcomes only.
    """

    window: int
    recent: int
    timeout: float | None
    scope_of: Callable[[Ticket], tuple[Tier, str]]
    is_full: bool = False
    is_source_read: bool = False
    source_error: BaseException | None = None
    context: Context = Factory(copy_context)
    wants_updates: bool = False
    _open: dict[Ticket, _OpenTicket] = Factory(dict)
    _unread: deque[Outcome] = Factory(deque)
    _recent_outcomes: OrderedDict[Ticket, Outcome] = Factory(OrderedDict)
    _refusals: dict[Tier | tuple[Tier, str], ModelsLabError] = Factory(dict)
    _deadlines: deque[tuple[float, Ticket]] = Factory(deque)
    _used_window: int = 0
    _error: BaseException | None = None
    _wakeup: Wakeup = Factory(Wakeup)
    _room_wakeup: Wakeup = Factory(Wakeup)

    @property
    def is_finished(self) -> bool:
        """Whether the source has no more tickets, and all outcomes have been taken."""
        return self.is_source_read and not self._open and not self._unread

    @property
    def open_tickets(self) -> tuple[Ticket, ...]:
        """The tickets of the stream that have no outcome yet."""
        return tuple(self._open)

    def register(self, ticket: Ticket) -> bool:
        """Add a ticket. Return False if it is already open, or if its outcome is already known."""
        self._used_window += 1
        self.is_full = self._used_window >= self.window
        outcome: Outcome | None = self._recent_outcomes.get(ticket)
        if outcome is None and self._refusals:
            outcome = self._known_refusal(ticket)
        if outcome is not None:
            self._unread.append(outcome)
            self._wakeup.wake()
            return False
        before = len(self._open)
        known = self._open.setdefault(ticket, _ONCE_NO_DEADLINE)
        if len(self._open) == before:
            self._open[ticket] = _OpenTicket(known.times + 1, known.deadline)
            return False
        if self.timeout is not None:
            deadline = asyncio.get_running_loop().time() + self.timeout
            self._open[ticket] = _OpenTicket(1, deadline)
            self._add_deadline(deadline, ticket)
        return True

    def forget(self, ticket: Ticket) -> None:
        """Remove a ticket for which `register` has just returned True."""
        del self._open[ticket]

    def notify(self, update: Processing | Outcome) -> None:
        """Store the outcome of a ticket, and wake the reader. Ignore other changes."""
        if isinstance(update, Processing):
            return
        ticket = update.ticket
        closed = self._open.pop(ticket, _NOT_OPEN)
        if closed is _ONCE_NO_DEADLINE:
            self._unread.append(update)
        else:
            self._unread.extend((update,) * closed.times)
        if not self._wakeup.is_set:
            self._wakeup.wake()
        if isinstance(update, Unresolved):
            self._remember_refusal(ticket, update.cause)
            return
        self._recent_outcomes[ticket] = update
        if len(self._recent_outcomes) > self.recent:
            self._recent_outcomes.popitem(last=False)

    def fail(self, error: BaseException) -> None:
        """End the stream with an exception."""
        self._error = error
        self._wakeup.wake()

    def finish_source(self, error: BaseException | None = None) -> None:
        """Record that the source has ended. `error` is the exception that it raised, if any."""
        self.is_source_read = True
        self.source_error = error
        self._wakeup.wake()

    async def wait_for_room(self) -> None:
        """Wait until one more ticket may be added to the stream."""
        while self.is_full:
            await self._room_wakeup.wait()

    def take_ready(self) -> Outcome | None:
        """Return the next outcome without waiting; None if none is ready."""
        if not self._unread:
            return None
        self._used_window -= 1
        if self.is_full:
            self.is_full = False
            self._room_wakeup.wake()
        return self._unread.popleft()

    async def take(self) -> Outcome | None:
        """Wait for the next outcome. Return None if no outcome is left or a deadline has passed."""
        while not self._unread and not (self.is_source_read and not self._open):
            if self._error is not None:
                raise self._error
            seconds_left = self._seconds_left()
            if seconds_left is not None and seconds_left <= 0:
                return None
            await self._wakeup.wait(seconds_left)
        return self.take_ready()

    def overdue(self, now: float, limit: int) -> list[Ticket]:
        """Return up to `limit` open tickets whose deadline has passed."""
        late: dict[Ticket, None] = {}
        while len(late) < limit and self._deadlines and self._deadlines[0][0] <= now:
            deadline, ticket = self._deadlines.popleft()
            if self._is_current(deadline, ticket):
                late[ticket] = None
        return list(late)

    def _add_deadline(self, deadline: float, ticket: Ticket) -> None:
        if not self._deadlines:
            # While there is no deadline, `take` waits without a timeout. Wake it, so that it now
            # waits with a timeout that ends at the new deadline.
            self._wakeup.wake()
        self._deadlines.append((deadline, ticket))
        if len(self._deadlines) > 2 * len(self._open) + _MAX_STALE_DEADLINES:
            self._deadlines = deque(each for each in self._deadlines if self._is_current(*each))

    def _is_current(self, deadline: float, ticket: Ticket) -> bool:
        """Whether a deadline belongs to an open ticket, and so is not stale."""
        return self._open.get(ticket, _NOT_OPEN).deadline == deadline

    def _remember_refusal(self, ticket: Ticket, cause: ModelsLabError) -> None:
        match cause:
            case AuthenticationError() | PaymentRequired():
                tier, _ = self.scope_of(ticket)
                self._refusals[tier] = cause
            case PermissionDenied():
                self._refusals[self.scope_of(ticket)] = cause
            case _:
                pass

    def _known_refusal(self, ticket: Ticket) -> Unresolved | None:
        scope = self.scope_of(ticket)
        tier, _ = scope
        error = self._refusals.get(tier) or self._refusals.get(scope)
        return Unresolved(ticket=ticket, cause=error.with_ticket(ticket)) if error else None

    def _seconds_left(self) -> float | None:
        while self._deadlines and not self._is_current(*self._deadlines[0]):
            self._deadlines.popleft()
        if not self._deadlines:
            return None
        return self._deadlines[0][0] - asyncio.get_running_loop().time()


async def stream_outcomes(
    engine: Engine, tickets: Tickets, *, timeout: float | None, window: int, recent: int
) -> AsyncGenerator[Outcome, None]:
    """
    Yield the outcomes of many tickets in the order in which the tickets end.

    `StreamBuffer` explains `window` and `recent`.
    """
    engine.check_usable()
    check_nonnegative_seconds("timeout", timeout, optional=True)
    check_count("window", window)
    check_tickets(tickets)
    timeout, poller = engine.wait_limit(timeout), engine.poller
    yielder = Yielder()
    buffer = StreamBuffer(
        window=window,
        recent=recent,
        timeout=timeout,
        scope_of=engine.status_client.scope_of,
    )
    reader_task = asyncio.create_task(
        fill_buffer(tickets, buffer, engine), name="modelslab_async feed"
    )
    try:
        while True:
            # Call `take_ready` first, because often many outcomes are ready. It is cheaper than
            # `take`, which is a coroutine.
            outcome = buffer.take_ready() or await buffer.take()
            if outcome is not None:
                yield outcome
                if yielder.is_clock_due() and yielder.is_late():
                    await yielder.yield_now()
                continue
            overdue_tickets = buffer.overdue(asyncio.get_running_loop().time(), _TIMEOUTS_PER_YIELD)
            for ticket in overdue_tickets:
                buffer.notify(poller.time_out(ticket, timeout))
                poller.unwatch(ticket, buffer)
            if not overdue_tickets and buffer.is_finished:
                break
        if buffer.source_error is not None:
            raise buffer.source_error
    finally:
        reader_task.cancel()
        poller.unwatch_all(buffer.open_tickets, buffer)
        await asyncio.wait((reader_task,))


async def fill_buffer(tickets: Tickets, buffer: StreamBuffer, engine: Engine) -> None:
    """Read tickets from a source, and watch each new ticket. Wait while the stream is full."""
    yielder = Yielder()
    is_clock_due = yielder.is_clock_due

    def register(given: TicketLike) -> Awaitable[object] | None:
        ticket = engine.ticket_of(given)
        if buffer.is_full:
            return register_later(ticket)
        if buffer.register(ticket):
            try:
                engine.watch(ticket, buffer)
            except BaseException:
                buffer.forget(ticket)
                raise
        return yielder.yield_now() if is_clock_due() and yielder.is_late() else None

    async def register_later(ticket: Ticket) -> None:
        await buffer.wait_for_room()
        if (yielding := register(ticket)) is not None:
            await yielding

    buffer.finish_source(await read_source(tickets, register, contents="tickets"))
