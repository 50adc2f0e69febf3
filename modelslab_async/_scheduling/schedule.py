"""
Schedule: what is due, who is waiting, what is settled. It decides and does nothing.

A ticket is here from `add` until it is settled or nobody waits for it any more. In between it is
either lined up in its lane until it is due, or flying: taken out by a worker that looks at it.

    add ──> lined up ──take──> flying ──feed──> settled: every watcher hears it, once
               ^                  │
               └── not over yet ──┘

What one look tells is never mixed up with what another one does:

    not over                  later again, after the pace's step
    a fault of the look       later again, after a backoff, until `pace.faults` in a row
    rate limit                all lanes of that key pause; nobody's budget is charged
    many faults in a row      the lane pauses, then lets out one look at a time
    silence for too long      all tickets of that lane end, a few at a time: `reap`
    refusal of the key        all tickets of that key end, likewise
    refusal of permission     all tickets of that family end, likewise
    refusal of the request    that ticket ends
    the job's own end         that ticket settles

A reply to a ticket that is no longer open changes nothing but what it says about the lane.
"""

import math
from copy import copy
from functools import lru_cache
from itertools import islice

from attrs import Factory, define, frozen

from .._models.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    LookFault,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
)
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import Pending, in_full
from .host_queue import Entry, Hook, Lane, Trouble, Watcher
from .policy import Limits, Rule, Steps
from .rate import Rate


@frozen
class Ending:
    """
    One settled ticket.

    Attributes:
        outcome: How it ended.
        watchers: Who is to hear it.
        looks: How many looks it took.
        waited: Seconds since it was added.
    """

    outcome: Outcome
    watchers: tuple[Watcher, ...]
    looks: int
    waited: float


@frozen
class Effects:
    """What one look changed: the ending to be told and the pause it caused, if any."""

    ending: Ending | None = None
    paused: float | None = None


_NOTHING = Effects()
# What takes longer than that is no delay of a timer or of the event loop.
_STANDSTILL = 5.0

# So much rarer are looks at a ticket whose end a webhook is to tell of.
_CALM = 4.0
# What happens within this time shares its moment, and the room that it takes.
_MOMENT = 0.001


@define(eq=False)
class Schedule:
    """
    The state machine of all open tickets of one client.

    Attributes:
        rule: When to look.
        rate: How many looks a key may have in a second; None for no such bound.
        doomed: Whether a refusal has tickets to end still.
    """

    rule: Rule
    rate: float | None = None
    _open: dict[Ticket, Entry] = Factory(dict)
    _lanes: dict[tuple[Tier, str], Lane] = Factory(dict)
    _limits: dict[Tier, float] = Factory(dict)
    _rates: dict[Tier, Rate] = Factory(dict)
    doomed: bool = False
    _moment: float = -math.inf
    _alone: tuple[Watcher, ...] = ()
    _seen: float = math.inf

    def __len__(self) -> int:
        return len(self._open)

    @property
    def pace(self) -> Limits:
        """How to back off, and when to stop asking."""
        return self.rule.limits

    def add(
        self,
        ticket: Ticket,
        watcher: Watcher,
        *,
        tier: Tier,
        host: str,
        now: float,
        chance: float,
        eta: float | None = None,
        fresh: bool = False,
        calm: bool = False,
    ) -> None:
        """
        Open a ticket, or join those who wait for it already.

        It is `fresh` if it was submitted just now, and `calm` if a webhook is to tell of its end.
        """
        entry = self._open.get(ticket)
        if entry is not None:
            entry.watchers += (watcher,)
            return
        lane = self._lanes.get((tier, host))
        if lane is None:
            lane = self._lanes[tier, host] = Lane(
                tier, host, self.pace, self._limits.get(tier, -math.inf)
            )
            if self.rate is not None:
                self._rates.setdefault(tier, Rate(self.rate))
        if lane.is_idle:
            # What was wrong when it was last asked says nothing of the time between.
            lane.spoke()
        if not self._alone or self._alone[0] is not watcher:
            self._alone = (watcher,)
        due = now + self.rule.of(ticket.family).first(eta, chance, fresh=fresh)
        added = self._shared(now)
        entry = Entry(ticket, lane, added, due, self._alone, running=added)
        if eta is not None:
            entry.over = _sum(added, eta)
        if calm:
            entry.hook = Hook(calm=True)
        self._open[ticket] = entry
        lane.push(entry)

    def drop(self, ticket: Ticket, watcher: Watcher) -> None:
        """Stop waiting. When the last watcher has gone, the ticket is forgotten."""
        entry = self._open.get(ticket)
        if entry is None or watcher not in entry.watchers:
            return
        entry.watchers = tuple(other for other in entry.watchers if other is not watcher)
        # A flying entry stays until its reply, so that who comes back meanwhile joins that look.
        if not entry.watchers and entry.lined_up:
            del self._open[ticket]
            entry.lane.forget(entry)
            self._learn(entry, None)

    def nudge(self, ticket: Ticket, now: float, gap: float, *, news: bool) -> bool:
        """
        Make an open ticket due now, or once `gap` seconds have passed since the last nudge.

        With news, a reply on its way may be too old to know them: the ticket is due again after it.
        Returns whether the ticket is due sooner than it was.
        """
        entry = self._open.get(ticket)
        if entry is None:
            return False
        hook = entry.hook = entry.hook or Hook()
        if not entry.lined_up:
            hook.nudged = hook.nudged or news
            return False
        due = max(now, hook.heeded + gap)
        if entry.due <= due:
            return False
        hook.heeded = due
        # The line knows an entry by its due time: a twin takes the place of the old one.
        twin = self._open[ticket] = copy(entry)
        entry.watchers = ()
        entry.lane.forget(entry)
        self._again(twin, due)
        return True

    def last(self, ticket: Ticket) -> Processing | None:
        """The last reply for an open ticket."""
        entry = self._open.get(ticket)
        return in_full(entry.last, ticket) if entry and entry.last else None

    def fault(self, ticket: Ticket) -> LookFault | None:
        """What keeps an open ticket from being answered, if something does."""
        entry = self._open.get(ticket)
        if entry is None:
            return None
        return entry.trouble.fault if entry.trouble else entry.lane.fault

    def next_look(self) -> float | None:
        """When `take` will have something to give, as far as is known now."""
        moments = [when for lane in self._lanes.values() if (when := self._next(lane)) is not None]
        return min(moments, default=None)

    def take(self, now: float) -> Entry | None:
        """Let the ticket out whose turn it is to be looked at; None if none may go now."""
        self._notice(now)
        ready = [
            lane
            for lane in self._lanes.values()
            if (when := self._next(lane)) is not None and when <= now
        ]
        if not ready:
            return None
        lane = ready[0]
        if len(ready) > 1:
            # Lanes take turns, as families do.
            self._lanes[lane.tier, lane.host] = self._lanes.pop((lane.tier, lane.host))
        if self.rate is not None:
            self._rates[lane.tier].passed(now)
        return lane.take(now)

    def put_back(self, entry: Entry, now: float) -> None:
        """Take back a ticket that was let out and not looked at; it is due again a little later."""
        entry.lane.put_back(entry)
        if self._is_open(entry):
            self._again(entry, now + self.pace.floor)

    def feed(
        self, entry: Entry, result: Reply | Pending | ModelsLabError, now: float, chance: float
    ) -> Effects:
        """Take in what one look brought."""
        self._notice(now)
        entry.lane.back(entry)
        match result:
            case Pending() | Processing() | Success() | Failed():
                entry.lane.answered(now)
                return self._heard(entry, result, now, chance)
            case RateLimited():
                return self._limited(entry, result, now, chance)
            case LookFault():
                return self._faulted(entry, result, now, chance)
            case _:
                return self._refused(entry, result, now)

    def reap(self, limit: int, now: float) -> list[Ending]:
        """End some of the tickets that a refusal met."""
        lane = next(lane for lane in self._lanes.values() if lane.doomed)
        met = lane.reap(limit)
        self.doomed = any(lane.doomed for lane in self._lanes.values())
        return [self._settle(entry, _unresolved(entry, error), now) for entry, error in met]

    def close(self, error: ClientClosed, limit: int, now: float) -> list[Ending]:
        """End some of all that is open."""
        endings: list[Ending] = []
        for entry in list(islice(self._open.values(), limit)):
            if self._is_open(entry):
                endings.append(self._settle(entry, _unresolved(entry, error), now))
                entry.lane.forget(entry)
        return endings

    def abandon(self) -> list[Watcher]:
        """Forget everything, and say who was waiting."""
        watchers = [watcher for entry in self._open.values() for watcher in entry.watchers]
        self._open.clear()
        self._lanes.clear()
        return watchers

    def _notice(self, now: float) -> None:
        """See whether the whole process stood still, and all that fell due in it is due at once."""
        if now - self._seen > _STANDSTILL:
            for lane in self._lanes.values():
                lane.stood_still(now, _STANDSTILL)
        self._seen = now

    def _heard(self, entry: Entry, reply: Reply | Pending, now: float, chance: float) -> Effects:
        entry.trouble = None
        if not self._is_open(entry):
            return _NOTHING
        age = entry.began - entry.added
        match reply:
            case Pending() | Processing():
                self._note(entry, reply)
                step = self._steps(entry).step(age, chance, eta=entry.eta)
                if entry.hook is not None:
                    step = self._hooked(entry.hook, step)
                self._again(entry, max(entry.began + step, now))
                return _NOTHING
            case Failed(reason="not_found") if age < self.pace.grace:
                self._again(entry, max(entry.began + self.pace.step(age, chance), now))
                return _NOTHING
            case Failed(reason="not_found"):
                return Effects(self._settle(entry, reply, now))
            case _:
                self._learn(entry, age)
                return Effects(self._settle(entry, reply, now))

    def _note(self, entry: Entry, reply: Pending | Processing) -> None:
        entry.running = self._shared(entry.began)
        if entry.last is None and entry.over is None and reply.eta:
            entry.over = _sum(entry.running, reply.eta)
        entry.last = reply

    def _hooked(self, hook: Hook, step: float) -> float:
        """The step of a ticket that a webhook has to do with."""
        if hook.calm:
            step = min(_CALM * step, self.pace.ceiling)
        if hook.nudged:
            # What was meant may have come after this reply was written.
            step, hook.nudged = min(step, self.pace.floor), False
        return step

    def _steps(self, entry: Entry) -> Steps:
        return self.rule.of(entry.ticket.family)

    def _learn(self, entry: Entry, over: float | None) -> None:
        self._steps(entry).learn(entry.running - entry.added, over, entry.eta)

    def _limited(self, entry: Entry, error: RateLimited, now: float, chance: float) -> Effects:
        entry.lane.spoke()
        setbacks = entry.lane.set_back(entry.began)
        if self._is_open(entry):
            self._again(entry, now)
        asked = error.retry_after
        if not setbacks and (asked is None or now + asked <= entry.lane.paused_until):
            return _NOTHING
        seconds = (
            self.pace.backoff(setbacks, chance) if asked is None else max(asked, self.pace.floor)
        )
        # The limit is the key's: it holds for hosts too that are first asked while it lasts.
        self._limits[entry.lane.tier] = now + seconds
        for lane in self._lanes_of(entry.lane.tier):
            lane.pause(now, seconds)
        return Effects(paused=seconds)

    def _faulted(self, entry: Entry, error: LookFault, now: float, chance: float) -> Effects:
        lane = entry.lane
        lane.fault = error
        entry.trouble = Trouble(entry.faults + 1, error)
        seconds = None
        if setbacks := lane.faulted(entry.began, now):
            seconds = self.pace.backoff(setbacks, chance)
            lane.pause(now, seconds)
        if lane.silence >= self.pace.outage:
            self._doom([lane], error)
            return self._unresolved(entry, error, now)
        if not self._is_open(entry):
            return Effects(paused=seconds)
        if entry.faults < self.pace.faults:
            backoff = self.pace.backoff(entry.faults, chance)
            self._again(entry, now + max(backoff, error.retry_after or 0.0))
            return Effects(paused=seconds)
        return Effects(self._settle(entry, _unresolved(entry, error), now), seconds)

    def _refused(self, entry: Entry, error: ModelsLabError, now: float) -> Effects:
        entry.lane.spoke()
        match error:
            case AuthenticationError() | PaymentRequired():
                lanes = self._lanes_of(entry.lane.tier)
                for lane in lanes:
                    lane.proven = False
                self._doom(lanes, error)
            case ConnectionImpossible():
                entry.lane.proven = False
                self._doom([entry.lane], error)
            case PermissionDenied():
                entry.lane.answered(now)
                self._doom([entry.lane], error, entry.ticket.family)
            case _:
                entry.lane.answered(now)
        return self._unresolved(entry, error, now)

    def _doom(self, lanes: list[Lane], error: ModelsLabError, family: str | None = None) -> None:
        for lane in lanes:
            lane.doom(error, family)
        self.doomed = any(lane.doomed for lane in self._lanes.values())

    def _unresolved(self, entry: Entry, error: ModelsLabError, now: float) -> Effects:
        if not self._is_open(entry):
            return _NOTHING
        return Effects(self._settle(entry, _unresolved(entry, error), now))

    def _again(self, entry: Entry, due: float) -> None:
        entry.due = due
        entry.lane.push(entry)

    def _settle(self, entry: Entry, outcome: Outcome, now: float) -> Ending:
        watchers, entry.watchers = entry.watchers, ()
        del self._open[entry.ticket]
        if not self._open:
            self._alone = ()
        return Ending(outcome, watchers, entry.looks, now - entry.added)

    def _shared(self, moment: float) -> float:
        """The moment, or one just before it that others have already."""
        if not 0.0 <= moment - self._moment < _MOMENT:
            self._moment = moment
        return self._moment

    def _is_open(self, entry: Entry) -> bool:
        """Whether the entry counts still; an entry that nobody waits for is forgotten here."""
        if entry.watchers:
            return True
        if self._open.get(entry.ticket) is entry:
            del self._open[entry.ticket]
        return False

    def _next(self, lane: Lane) -> float | None:
        when = lane.next_look()
        if when is None or self.rate is None:
            return when
        return max(when, self._rates[lane.tier].opens)

    def _lanes_of(self, tier: Tier) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.tier == tier]


@lru_cache(maxsize=256)
def _sum(moment: float, seconds: float) -> float:
    """Who is told the same at the same moment shares the sum."""
    return moment + seconds


def _unresolved(entry: Entry, error: ModelsLabError) -> Unresolved:
    last = in_full(entry.last, entry.ticket) if entry.last else None
    return Unresolved(ticket=entry.ticket, cause=error.about(entry.ticket), last=last)
