"""Places: how many generations of one key may be queued at once, and who comes next. Sends none."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from itertools import count

from attrs import Factory, define

from .._models.errors import ModelsLabError
from .._models.ticket import Ticket
from .._scheduling.start import Start
from .duplicate_payloads import Twins
from .slot_record import Held
from .uncertain_submits import Doubts

# A ticket that nobody ever looks at again would hold its place for good.
_LONGEST_HELD = 3600.0
# While others wait, whoever holds a place is looked at after this part of its age, and no sooner
# than after so many seconds: an end that is noticed late is a place that stands empty.
_SHARE = 0.04
_FLOOR = 0.25
# Not before this part of the time that the server expects, and sooner where that was too long for
# one of the last few: recorded is an eta of a hundred times the work.
_EARLY = 0.5
_LATEST_START = 10.0
_FEW = 8
# Seconds from one pass over all who hold a place to the next: at most, and at least for each of
# them, since a pass costs time.
_OFTEN = 0.5
_PASS = 0.00025


@define(eq=False)
class Places:
    """
    The places that one account has for queued generations.

    A place is taken before a submit. It is given back when nothing came of it, and belongs to its
    ticket else: until that has ended, or is given up, or an hour has passed. Where nobody knows
    whether work was started, it stays taken for a while (see `Doubts`). Who waits for a place gets
    one in the order of their numbers. Until the server has taken work, and again after a
    refusal, one goes alone, and one more for each second without an answer.

    Args:
        limit: How many there are; None for as many as anybody wants.
        look: Asked to look at a ticket now, while others wait for its place.
        leave: Told when nobody waits for the place of a ticket any more.
        twins: Who waits until its payload may be sent again, before it waits for a place.
    """

    limit: int | None
    look: Callable[[Ticket], object]
    leave: Callable[[Ticket], object]
    twins: Twins = Factory(Twins)
    _held: dict[Ticket, Held] = Factory(dict)
    _doubts: Doubts = Factory(Doubts)
    _unnamed: int = 0
    _line: list[tuple[int, int, asyncio.Future[ModelsLabError | None]]] = Factory(list)
    _sequence: "count[int]" = Factory(count)
    _welcome: bool = False
    _alone_since: float = -math.inf
    _paused_until: float = -math.inf
    _full_until: float = -math.inf
    _full_at: int = 0
    _timer: asyncio.TimerHandle | None = None
    _hastened: set[Ticket] = Factory(set)
    _truths: deque[float] = Factory(lambda: deque(maxlen=_FEW))
    _closed: ModelsLabError | None = None

    async def take(self, number: int) -> None:
        """
        Wait for a place. The lowest number goes first.

        Raises:
            ModelsLabError: Those in line are sent away.
        """
        if self._closed is not None:
            raise self._closed
        turn: asyncio.Future[ModelsLabError | None] = asyncio.get_running_loop().create_future()
        heappush(self._line, (number, next(self._sequence), turn))
        self._serve()
        try:
            error = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result() is None:
                self.give_back()
            self._serve()
            raise
        if error is not None:
            raise error

    def give_back(self, *, welcome: bool = False) -> None:
        """A submit made no ticket: its place is free. It is welcome if the server took the work."""
        self._welcome |= welcome
        self._unnamed -= 1
        self._serve()

    def doubt(self, endpoint: str) -> None:
        """Nobody knows whether a submit started work: while it may run, it has its place."""
        self._unnamed -= 1
        self._doubts.add(endpoint, asyncio.get_running_loop().time())
        self._serve()

    def keep(
        self,
        ticket: Ticket,
        *,
        endpoint: str = "",
        eta: float | None = None,
        mark: str = "",
        calm: bool = False,
        hinted: bool = False,
    ) -> None:
        """A submit made a ticket: its place belongs to that from now on."""
        now = asyncio.get_running_loop().time()
        self._welcome = True
        self._unnamed -= 1
        self._held[ticket] = Held(endpoint, now, eta or 0.0, now, mark, calm, hinted)
        self._serve()

    def settled(self, ticket: Ticket) -> None:
        """A ticket has ended, or is given up: its place is free."""
        held = self._held.pop(ticket, None)
        if held is None:
            return
        took = asyncio.get_running_loop().time() - held.since
        self._doubts.learn(held.endpoint, took)
        if held.eta:
            self._truths.append(took / held.eta)
        self._hastened.discard(ticket)
        self._serve()

    def start_of(self, ticket: Ticket) -> Start | None:
        """What is known of a ticket that holds a place."""
        held = self._held.get(ticket)
        return None if held is None else held.start(asyncio.get_running_loop().time())

    def marked(self, mark: str) -> Ticket | None:
        """The ticket that holds a place and was submitted with this mark."""
        marked = (ticket for ticket, held in self._held.items() if mark and held.mark == mark)
        return next(marked, None)

    def full(self, seconds: float) -> None:
        """The server says that the queue is full: for a while, nobody goes but for who leaves."""
        self._full_until = asyncio.get_running_loop().time() + seconds
        self._full_at = self._used - 1
        self._relax()

    def pause(self, seconds: float) -> None:
        """The server says that requests come too fast: for a while, nobody goes."""
        until = asyncio.get_running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)
        self._relax()

    def send_away(self, error: ModelsLabError) -> None:
        """Those who are in line now will not be served, for this reason."""
        self._welcome = False
        self._alone_since = asyncio.get_running_loop().time()
        self.twins.send_away(error)
        line, self._line = self._line, []
        for _, _, turn in line:
            if not turn.done():
                turn.set_result(error)
        self._serve()

    def close(self, error: ModelsLabError) -> None:
        """Nobody is served any more, for this reason."""
        self._closed = error
        self.send_away(error)
        self.twins.close()

    @property
    def _used(self) -> int:
        return self._unnamed + len(self._held) + self._doubts.count

    def _room(self, now: float) -> bool:
        return now >= self._paused_until and not self._crowded(now) and not self._wary(now)

    def _wary(self, now: float) -> bool:
        """Whether those on their way are to tell first what the server makes of the key."""
        return not self._welcome and now < self._next_alone

    @property
    def _next_alone(self) -> float:
        """When one more goes, though none of those on their way was answered."""
        return self._alone_since + self._unnamed

    def _crowded(self, now: float) -> bool:
        limit = math.inf if self.limit is None else self.limit
        if now < self._full_until:
            limit = min(limit, self._full_at)
        return self._used >= limit

    def _serve(self) -> None:
        """Let in who may go, and see to it that the others get their turn."""
        now = asyncio.get_running_loop().time()
        self._evict(now)
        while self._line and (self._line[0][2].done() or self._room(now)):
            turn = heappop(self._line)[2]
            if not turn.done():
                if not self._welcome and not self._unnamed:
                    self._alone_since = now
                self._unnamed += 1
                turn.set_result(None)
        if not self._line:
            self._relax()
        elif self._timer is None:
            self._hasten()

    def _evict(self, now: float) -> None:
        self._doubts.forget(now)
        while self._held:
            ticket, held = next(iter(self._held.items()))
            if now - held.since < _LONGEST_HELD:
                return
            del self._held[ticket]

    def _hasten(self) -> None:
        """Have those who hold the places looked at, each when it is its time, and come again."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        early = _EARLY * min(1.0, *self._truths, 1.0)
        whens = [when for when in (self._paused_until, self._full_until) if when > now]
        if self._crowded(now):
            whens.extend(self._when(*each, now, early) for each in self._held.items())
            whens.extend(filter(None, (self._doubts.forget(now),)))
        if self._wary(now):
            whens.append(self._next_alone)
        if whens:
            # Whoever comes meanwhile is found by the next pass, so that is never far away.
            when = max(min(*whens, now + _OFTEN), now + _PASS * len(self._held))
            self._timer = loop.call_at(when, self._ring, context=Context())

    def _when(self, ticket: Ticket, held: Held, now: float, early: float) -> float:
        """When a ticket is to be looked at next; if that is now, have it looked at."""
        gap = max(_FLOOR, _SHARE * (now - held.since))
        when = max(held.looked + gap, held.since + min(early * held.eta, _LATEST_START))
        if when > now:
            return when
        held.looked = now
        self._hastened.add(ticket)
        self.look(ticket)
        return now + gap

    def _ring(self) -> None:
        self._timer = None
        self._serve()

    def _relax(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        hastened, self._hastened = self._hastened, set()
        for ticket in hastened:
            self.leave(ticket)
