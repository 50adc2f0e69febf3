"""
Simulated rules: what must hold of each look and of each end in a story, reckoned from the docs.

They stand beside the schedule, and share nothing with it but the steps of the pace: who waits, what
is sent and what comes is seen at its borders, and when the next look may go is reckoned anew.
"""

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import Factory, define

from modelslab_async import (
    AuthenticationError,
    ClientClosed,
    Completed,
    Event,
    Failed,
    ModelsLabError,
    Outcome,
    Pace,
    Paused,
    Processing,
    RateLimited,
    Ticket,
    TransientError,
    Unresolved,
)
from modelslab_async._scheduling.schedule import Schedule
from modelslab_async._scheduling.watcher_protocol import Watcher

# Tickets that are added within a millisecond share a moment, so no age is more exact than that.
_INEXACT = 0.002
_OUTAGE = 10
_PATIENCE = 1.0
_LONGEST_BACKOFF = 60.0


@define(eq=False)
class Lane:
    """What the answers of one host say about the looks at it."""

    proven: bool = False
    flying: int = 0
    last_began: float = -math.inf
    paused_at: float = -math.inf
    paused_until: float = -math.inf
    streak: int = 0
    setbacks: int = 0

    def pause(self, now: float, seconds: float) -> None:
        self.proven = False
        self.paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)


@define(eq=False)
class Opening:
    """One ticket, from when somebody begins to wait for it until it ends or nobody does."""

    ticket: Ticket
    added: float
    waiting: set["Told"] = Factory(set)
    flying: bool = False
    due: float = -math.inf
    eta: float | None = None
    answered: bool = False
    faults: int = 0
    polls: int = 0
    ends: list[object] = Factory(list)


@define(eq=False)
class Look:
    """One look; the network notes for how long it asked to be left alone."""

    opening: Opening
    lane: Lane
    began: float
    hint: float | None = None


@define(eq=False)
class Told:
    """Stands before somebody who waits, and counts what is handed over."""

    watcher: Watcher
    rules: "Rules"

    @property
    def wants_updates(self) -> bool:
        return self.watcher.wants_updates

    def notify(self, news: Processing | Outcome) -> None:
        self.rules.told(self, news)
        self.watcher.notify(news)

    def fail(self, error: BaseException) -> None:
        self.rules.wrong.append(f"the poller broke: {error!r}")
        self.watcher.fail(error)


class Watched(Schedule):
    """A schedule before which the rules stand."""

    rules: "Rules"

    def add(self, ticket: Ticket, watcher: Watcher, *, host: str, **how: Any) -> None:
        told = self.rules.watched(ticket, watcher, host)
        super().add(ticket, told, host=host, **how)

    def drop(self, ticket: Ticket, watcher: Watcher) -> None:
        super().drop(ticket, self.rules.left(ticket, watcher))


class Rules:
    """
    All that must hold, but for what a ticket's end is.

    Attributes:
        wrong: What did not hold.
        settled: The outcomes that were told of each ticket.
        looks: How many looks each ticket had.
        overtaken: How many looks were answered when their ticket had ended, or was asked for anew.
        closing: Whether the client is being closed.
    """

    def __init__(self, pace: Pace, rate: float | None) -> None:
        self.pace = pace
        self.rate = rate
        self.wrong: list[str] = []
        self.settled: defaultdict[Ticket, list[Outcome]] = defaultdict(list)
        self.polls: Counter[Ticket] = Counter()
        self.overtaken = 0
        self.closing = False
        self._open: dict[Ticket, Opening] = {}
        self._lanes: dict[str, Lane] = {}
        self._hosts: dict[Ticket, str] = {}
        self._limited_until = -math.inf
        self._tolds: dict[Watcher, Told] = {}
        self._moments: deque[float] = deque(maxlen=max(1, int(rate or 1)))

    def schedule(self) -> Schedule:
        """A schedule of the story's pace that these rules watch."""
        schedule = Watched(self.pace, self.rate)
        schedule.rules = self
        return schedule

    def looking(
        self, look: Callable[[Ticket], Awaitable[Any]], begins: Callable[[Look], object]
    ) -> Callable[[Ticket], Awaitable[Any]]:
        """The same look, watched; whoever `begins` learns of it before it is sent."""

        async def watched(ticket: Ticket) -> Any:
            here = self._began(ticket)
            begins(here)
            try:
                result = await look(ticket)
            except ModelsLabError as error:
                self._ended(here, error)
                raise
            except asyncio.CancelledError:
                here.lane.flying -= 1
                here.opening.flying = False
                raise
            self._ended(here, result)
            return result

        return watched

    def watched(self, ticket: Ticket, watcher: Watcher, host: str) -> Told:
        """Somebody begins to wait, be it beside others."""
        self._hosts[ticket] = host
        self._lanes.setdefault(host, Lane(paused_until=self._limited_until))
        told = self._told(watcher)
        opening = self._open.setdefault(ticket, Opening(ticket, self._now))
        opening.waiting.add(told)
        return told

    def left(self, ticket: Ticket, watcher: Watcher) -> Told:
        """Somebody stops waiting; once nobody does, no look is due any more."""
        told = self._told(watcher)
        opening = self._open.get(ticket)
        if opening is not None:
            opening.waiting.discard(told)
            self._let_go(opening)
        return told

    def told(self, told: Told, news: Processing | Outcome) -> None:
        """Somebody is told: how it ended once at the most, and only while he waits for it."""
        if isinstance(news, Processing):
            self._demand(
                told.wants_updates, f"{news.ticket}: who waits for its end was told {news}"
            )
            return
        opening = self._open.get(news.ticket)
        waits = opening is not None and told in opening.waiting
        self._demand(waits, f"{news.ticket}: {type(news).__name__} was told to who does not wait")
        if opening is not None:
            opening.waiting.discard(told)

    def heard(self, event: Event) -> None:
        """An event of the client, who would do no more than log that a check broke."""
        try:
            match event:
                case Completed():
                    self._settled(event)
                case Paused():
                    self._paused(event)
                case _:
                    pass
        except Exception as error:  # noqa: BLE001 -- whatever it is, the story went wrong.
            self.wrong.append(f"the check of {event} broke: {error!r}")

    def over(self) -> None:
        """The client is closed: whoever still waited has been told so."""
        for opening in self._open.values():
            self._demand(not opening.waiting, f"{opening.ticket}: its end was never told")

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _demand(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.wrong.append(f"at {self._now:.3f}, {otherwise}")

    def _told(self, watcher: Watcher) -> Told:
        return self._tolds.setdefault(watcher, Told(watcher, self))

    def _let_go(self, opening: Opening) -> None:
        # A look on its way goes on, and who comes back meanwhile joins it.
        if not opening.waiting and not opening.flying:
            del self._open[opening.ticket]

    def _began(self, ticket: Ticket) -> Look:
        now, lane = self._now, self._lanes[self._hosts[ticket]]
        opening = self._open.get(ticket)
        if opening is None:
            self.wrong.append(f"at {now:.3f}, {ticket}: looked at, though nobody waits for it")
            opening = Opening(ticket, now)
        where = f"{ticket}: looked at"
        self._demand(not opening.flying, f"{where} by two looks at once")
        self._demand(not opening.ends, f"{where} after its end: {opening.ends}")
        self._demand(now >= opening.due - _INEXACT, f"{where}, not before {opening.due:.3f}")
        self._demand(
            now >= lane.paused_until - _INEXACT, f"{where} in a pause until {lane.paused_until:.3f}"
        )
        alone = not lane.flying or now >= lane.last_began + _PATIENCE - _INEXACT
        self._demand(
            lane.proven or alone, f"{where} beside {lane.flying}, though none was answered"
        )
        self._count(now)
        self.polls[ticket] += 1
        opening.polls += 1
        opening.flying = True
        lane.flying += 1
        lane.last_began = now
        return Look(opening, lane, now)

    def _count(self, now: float) -> None:
        if self.rate is None:
            return
        full = len(self._moments) == self._moments.maxlen
        since = max(1.0, 1.0 / self.rate)
        free = not full or now >= self._moments[0] + since - _INEXACT
        self._demand(free, f"more looks than {self.rate} a second")
        self._moments.append(now)

    def _ended(self, look: Look, result: Any) -> None:
        look.lane.flying -= 1
        match result:
            case RateLimited():
                self._limited(look)
            case TransientError():
                self._faulted(look.lane, look.began)
            case AuthenticationError():
                self._refused(result)
            case ModelsLabError():
                self.wrong.append(f"{look.opening.ticket}: nothing refuses, and it was {result!r}")
            case _:
                look.lane.proven = True
                look.lane.streak = look.lane.setbacks = 0
        opening = look.opening
        opening.flying = False
        if self._open.get(opening.ticket) is not opening:
            self.overtaken += 1
            return
        self._let_go(opening)
        self._learned(opening, look, result)

    def _limited(self, look: Look) -> None:
        """A rate limit is the key's: nothing of it is sent for as long as it says."""
        now, lane = self._now, look.lane
        news = look.began >= lane.paused_at
        lane.setbacks += news
        if look.hint is None and not news:
            return
        unasked = self._backoff(lane.setbacks)
        seconds = unasked if look.hint is None else max(look.hint, self.pace.floor * news)
        self._limited_until = max(self._limited_until, now + seconds)
        for each in self._lanes.values():
            if news:
                each.pause(now, seconds)
            else:
                # Whether this one says anything new depends on how long the last pause really is.
                each.paused_until = max(each.paused_until, now + seconds)

    def _paused(self, event: Paused) -> None:
        """A pause that is told of holds; whether there had to be one is reckoned elsewhere."""
        self._demand(event.cause.ticket in self._hosts, f"a pause for nobody's sake: {event}")
        for host, lane in self._lanes.items():
            if isinstance(event.cause, RateLimited) or host == self._hosts[event.cause.ticket]:
                lane.pause(self._now, event.seconds)

    def _faulted(self, lane: Lane, began: float) -> None:
        """Ten faults in a row, or one before any answer, pause the host."""
        lane.streak += 1
        if (not lane.proven or lane.streak >= _OUTAGE) and began >= lane.paused_at:
            lane.setbacks += 1
            lane.pause(self._now, self._backoff(lane.setbacks))

    def _refused(self, error: ModelsLabError) -> None:
        """A refusal of the key ends all that is open."""
        for lane in self._lanes.values():
            lane.proven = False
        for opening in self._open.values():
            opening.ends.append(error)

    def _learned(self, opening: Opening, look: Look, result: Any) -> None:
        """What this look means for its own ticket."""
        now, age = self._now, look.began - opening.added
        match result:
            case RateLimited():
                pass
            case TransientError():
                opening.faults += 1
                if opening.faults >= self.pace.max_failures:
                    opening.ends.append(result)
                else:
                    opening.due = now + max(self._backoff(opening.faults), look.hint or 0.0)
                return
            case ModelsLabError():
                return
            case Failed(reason="not_found") if age < self.pace.grace:
                opening.due = look.began + self.pace.step(age, 1.0)
            case _ if isinstance(result, Outcome):
                opening.ends.append(result)
            case _:
                if not opening.answered and result.eta:
                    opening.eta = age + result.eta
                opening.answered = True
                opening.due = look.began + self._least_step(age, opening.eta)
        if not isinstance(result, RateLimited):
            opening.faults = 0

    def _least_step(self, age: float, eta: float | None) -> float:
        etas = [None] if eta is None else [eta - _INEXACT, eta, eta + _INEXACT]
        return min(
            self.pace.step(max(0.0, age), chance, eta=each)
            for chance in (0.0, 1.0)
            for each in etas
        )

    def _backoff(self, setbacks: int) -> float:
        """The least time to leave alone what went wrong so often: chance takes up to a half."""
        longest = max(self.pace.floor, _LONGEST_BACKOFF)
        return min(self.pace.floor * 2.0 ** (setbacks - 1), longest) / 2

    def _settled(self, event: Completed) -> None:
        outcome = event.outcome
        ticket = outcome.ticket
        self.settled[ticket].append(outcome)
        opening = self._open.pop(ticket, None)
        if opening is None:
            self.wrong.append(f"at {self._now:.3f}, {ticket}: settled, though it was not open")
            return
        self._demand(not opening.waiting, f"{ticket}: settled, and not everybody was told")
        self._demand(opening.polls == event.polls, f"{ticket}: {opening.polls} looks, not {event}")
        if isinstance(outcome, Unresolved) and isinstance(outcome.cause, ClientClosed):
            self._demand(self.closing, f"{ticket}: nobody closed the client")
            return
        kinds = [type(end) for end in opening.ends]
        rightly = outcome in opening.ends or (
            isinstance(outcome, Unresolved) and type(outcome.cause) in kinds
        )
        self._demand(rightly, f"{ticket}: settled as {outcome!r}, not as {opening.ends}")
