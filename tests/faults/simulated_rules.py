"""
The rules that every poll and outcome of a scenario must obey, computed from the documentation.

They share nothing with the schedule but the steps of the pace. They observe watchers, polls and
replies at the schedule's interface, and compute anew when the next poll is allowed.
"""

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from attrs import define
from faults.simulated_state import HostState, ObservedPoll, OpenTicket

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
from modelslab_async._scheduling.hosts import Hosts
from modelslab_async._scheduling.rate_limiter import even_poll_rates
from modelslab_async._scheduling.schedule import Schedule
from modelslab_async._scheduling.watcher_protocol import Watcher

# Tickets that are added within a millisecond share a time, so ages are not more exact.
_TOLERANCE_S = 0.002
_FAILURES_BEFORE_PAUSE = 10
_PROBE_TIMEOUT_S = 1.0
_MAX_BACKOFF_S = 60.0


@define(eq=False)
class ObservedWatcher:
    """Wraps a watcher, and reports to the rules what the watcher is given."""

    watcher: Watcher
    rules: "Rules"

    @property
    def wants_updates(self) -> bool:
        return self.watcher.wants_updates

    @property
    def context(self) -> Context | None:
        return self.watcher.context

    def notify(self, reply: Processing | Outcome) -> None:
        self.rules.check_notification(self, reply)
        self.watcher.notify(reply)

    def fail(self, error: BaseException) -> None:
        self.rules.violations.append(f"the poller broke: {error!r}")
        self.watcher.fail(error)


class ObservedSchedule(Schedule):
    """A schedule that reports its watchers to the rules."""

    rules: "Rules"

    def add(self, ticket: Ticket, watcher: Watcher, *, host: str, **how: Any) -> None:
        observed = self.rules.add_watcher(ticket, watcher, host)
        super().add(ticket, observed, host=host, **how)

    def drop(self, ticket: Ticket, watcher: Watcher) -> Exception | None:
        return super().drop(ticket, self.rules.remove_watcher(ticket, watcher))


class Rules:
    """
    Checks when polls are sent, and that each watcher gets one valid outcome.

    Attributes:
        violations: The rules that were broken, with the time and the ticket.
        outcomes: The outcomes in the `Completed` events of each ticket.
        polls: How often each ticket was polled.
        overtaken: How many polls were answered after their ticket had ended or was opened again.
        is_closing: Whether the client is being closed.
    """

    def __init__(self, pace: Pace, rate: float | None) -> None:
        self.pace = pace
        self.rate = rate
        self.violations: list[str] = []
        self.outcomes: defaultdict[Ticket, list[Outcome]] = defaultdict(list)
        self.polls: Counter[Ticket] = Counter()
        self.overtaken = 0
        self.is_closing = False
        self._open: dict[Ticket, OpenTicket] = {}
        self._host_states: dict[str, HostState] = {}
        self._host_of: dict[Ticket, str] = {}
        self._limited_until = -math.inf
        self._observed: dict[Watcher, ObservedWatcher] = {}
        self._poll_times: deque[float] = deque(maxlen=max(1, int(rate or 1)))

    def schedule(self) -> Schedule:
        """Make a schedule that these rules observe."""
        schedule = ObservedSchedule(self.pace, Hosts(self.pace.limits, even_poll_rates(self.rate)))
        schedule.rules = self
        return schedule

    def observe(
        self, poll: Callable[[Ticket], Awaitable[Any]], on_start: Callable[[ObservedPoll], object]
    ) -> Callable[[Ticket], Awaitable[Any]]:
        """Wrap a poll function, so that the rules see each poll. `on_start` runs before it."""

        async def observed_poll(ticket: Ticket) -> Any:
            observed = self._poll_started(ticket)
            on_start(observed)
            try:
                result = await poll(ticket)
            except ModelsLabError as error:
                self._poll_ended(observed, error)
                raise
            except asyncio.CancelledError:
                observed.host_state.in_flight -= 1
                observed.open_ticket.in_flight = False
                raise
            self._poll_ended(observed, result)
            return result

        return observed_poll

    def add_watcher(self, ticket: Ticket, watcher: Watcher, host: str) -> ObservedWatcher:
        """Record that a watcher starts to wait for a ticket."""
        self._host_of[ticket] = host
        self._host_states.setdefault(host, HostState(paused_until=self._limited_until))
        observed = self._observe_watcher(watcher)
        open_ticket = self._open.setdefault(ticket, OpenTicket(ticket, self._now))
        open_ticket.watchers.add(observed)
        return observed

    def remove_watcher(self, ticket: Ticket, watcher: Watcher) -> ObservedWatcher:
        """Record that a watcher leaves. A ticket without watchers must not be polled."""
        observed = self._observe_watcher(watcher)
        open_ticket = self._open.get(ticket)
        if open_ticket is not None:
            open_ticket.watchers.discard(observed)
            self._forget_unwatched(open_ticket)
        return observed

    def check_notification(self, watcher: ObservedWatcher, reply: Processing | Outcome) -> None:
        """Check that a watcher gets one outcome, and updates only if it wants them."""
        if isinstance(reply, Processing):
            self._require(
                watcher.wants_updates, f"{reply.ticket}: a watcher without updates got {reply}"
            )
            return
        open_ticket = self._open.get(reply.ticket)
        waits = open_ticket is not None and watcher in open_ticket.watchers
        name = type(reply).__name__
        self._require(waits, f"{reply.ticket}: a watcher that does not wait got {name}")
        if open_ticket is not None:
            open_ticket.watchers.discard(watcher)

    def on_event(self, event: Event) -> None:
        """Check an event. The client would only log an exception, so it is recorded here."""
        try:
            match event:
                case Completed():
                    self._on_completed(event)
                case Paused():
                    self._on_pause(event)
                case _:
                    pass
        except Exception as error:  # noqa: BLE001 -- any exception fails the scenario.
            self.violations.append(f"the check of {event} failed: {error!r}")

    def check_closed(self) -> None:
        """Check that a closed client has notified all watchers."""
        for open_ticket in self._open.values():
            self._require(
                not open_ticket.watchers, f"{open_ticket.ticket}: a watcher never got its outcome"
            )

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _require(self, holds: object, violation: str) -> None:
        if not holds:
            self.violations.append(f"at {self._now:.3f}, {violation}")

    def _observe_watcher(self, watcher: Watcher) -> ObservedWatcher:
        return self._observed.setdefault(watcher, ObservedWatcher(watcher, self))

    def _forget_unwatched(self, open_ticket: OpenTicket) -> None:
        # A poll in flight goes on, and a watcher that comes meanwhile shares it.
        if not open_ticket.watchers and not open_ticket.in_flight:
            del self._open[open_ticket.ticket]

    def _poll_started(self, ticket: Ticket) -> ObservedPoll:
        now, host_state = self._now, self._host_states[self._host_of[ticket]]
        open_ticket = self._open.get(ticket)
        if open_ticket is None:
            self.violations.append(f"at {now:.3f}, {ticket}: polled without a watcher")
            open_ticket = OpenTicket(ticket, now)
        prefix = f"{ticket}: polled"
        self._require(not open_ticket.in_flight, f"{prefix} twice at once")
        self._require(not open_ticket.valid_outcomes, f"{prefix} after its end")
        self._require(
            now >= open_ticket.due - _TOLERANCE_S, f"{prefix} before {open_ticket.due:.3f}"
        )
        self._require(
            now >= host_state.paused_until - _TOLERANCE_S,
            f"{prefix} in a pause until {host_state.paused_until:.3f}",
        )
        alone = (
            not host_state.in_flight
            or now >= host_state.last_poll_started + _PROBE_TIMEOUT_S - _TOLERANCE_S
        )
        self._require(
            host_state.is_proven or alone,
            f"{prefix} beside {host_state.in_flight} polls of an unproven host",
        )
        self._check_rate(now)
        self.polls[ticket] += 1
        open_ticket.polls += 1
        open_ticket.in_flight = True
        host_state.in_flight += 1
        host_state.last_poll_started = now
        return ObservedPoll(open_ticket, host_state, now)

    def _check_rate(self, now: float) -> None:
        if self.rate is None:
            return
        full = len(self._poll_times) == self._poll_times.maxlen
        since = max(1.0, 1.0 / self.rate)
        free = not full or now >= self._poll_times[0] + since - _TOLERANCE_S
        self._require(free, f"more than {self.rate} polls a second")
        self._poll_times.append(now)

    def _poll_ended(self, poll: ObservedPoll, result: Any) -> None:
        poll.host_state.in_flight -= 1
        match result:
            case RateLimited():
                self._on_rate_limit(poll)
            case TransientError():
                self._on_failure(poll.host_state, poll.started)
            case AuthenticationError():
                self._on_refusal(result)
            case ModelsLabError():
                self.violations.append(f"{poll.open_ticket.ticket}: no fault causes {result!r}")
            case _:
                poll.host_state.is_proven = True
                poll.host_state.failures_in_a_row = poll.host_state.setbacks = 0
        open_ticket = poll.open_ticket
        open_ticket.in_flight = False
        if self._open.get(open_ticket.ticket) is not open_ticket:
            self.overtaken += 1
            return
        self._forget_unwatched(open_ticket)
        self._update_ticket(open_ticket, poll, result)

    def _on_rate_limit(self, poll: ObservedPoll) -> None:
        """Pause all hosts: a rate limit applies to the key."""
        now, host_state = self._now, poll.host_state
        is_new = poll.started >= host_state.paused_at
        host_state.setbacks += is_new
        if poll.hint is None and not is_new:
            return
        backoff = self._backoff(host_state.setbacks)
        seconds = backoff if poll.hint is None else max(poll.hint, self.pace.floor * is_new)
        self._limited_until = max(self._limited_until, now + seconds)
        for each in self._host_states.values():
            if is_new:
                each.pause(now, seconds)
            else:
                # The real pause may be longer than computed, so this reply may change nothing.
                each.paused_until = max(each.paused_until, now + seconds)

    def _on_pause(self, event: Paused) -> None:
        """Apply a pause that the client reports. Other rules check that required pauses exist."""
        self._require(event.cause.ticket in self._host_of, f"a pause without a ticket: {event}")
        for host, host_state in self._host_states.items():
            if isinstance(event.cause, RateLimited) or host == self._host_of[event.cause.ticket]:
                host_state.pause(self._now, event.seconds)

    def _on_failure(self, host_state: HostState, started: float) -> None:
        """Pause a host after ten failures in a row, or after one if it never answered."""
        host_state.failures_in_a_row += 1
        fails_often = host_state.failures_in_a_row >= _FAILURES_BEFORE_PAUSE
        if (not host_state.is_proven or fails_often) and started >= host_state.paused_at:
            host_state.setbacks += 1
            host_state.pause(self._now, self._backoff(host_state.setbacks))

    def _on_refusal(self, error: ModelsLabError) -> None:
        """Allow all open tickets to end: a refusal applies to the key."""
        for host_state in self._host_states.values():
            host_state.is_proven = False
        for open_ticket in self._open.values():
            open_ticket.valid_outcomes.append(error)

    def _update_ticket(self, open_ticket: OpenTicket, poll: ObservedPoll, result: Any) -> None:
        """Compute when the ticket is due again, or how it may end."""
        now, age = self._now, poll.started - open_ticket.added
        match result:
            case RateLimited():
                pass
            case TransientError():
                open_ticket.failures += 1
                if open_ticket.failures >= self.pace.max_failures:
                    open_ticket.valid_outcomes.append(result)
                else:
                    open_ticket.due = now + max(
                        self._backoff(open_ticket.failures), poll.hint or 0.0
                    )
                return
            case ModelsLabError():
                return
            case Failed(reason="not_found") if age < self.pace.grace:
                open_ticket.due = poll.started + self.pace.step(age, 1.0)
            case _ if isinstance(result, Outcome):
                open_ticket.valid_outcomes.append(result)
            case _:
                if not open_ticket.answered and result.eta:
                    open_ticket.eta = age + result.eta
                open_ticket.answered = True
                open_ticket.due = poll.started + self._least_step(age, open_ticket.eta)
        if not isinstance(result, RateLimited):
            open_ticket.failures = 0

    def _least_step(self, age: float, eta: float | None) -> float:
        etas = [None] if eta is None else [eta - _TOLERANCE_S, eta, eta + _TOLERANCE_S]
        return min(
            self.pace.step(max(0.0, age), chance, eta=each)
            for chance in (0.0, 1.0)
            for each in etas
        )

    def _backoff(self, setbacks: int) -> float:
        """Return the shortest backoff. Jitter shortens it by up to a half."""
        longest = max(self.pace.floor, _MAX_BACKOFF_S)
        return min(self.pace.floor * 2.0 ** (setbacks - 1), longest) / 2

    def _on_completed(self, event: Completed) -> None:
        outcome = event.outcome
        ticket = outcome.ticket
        self.outcomes[ticket].append(outcome)
        open_ticket = self._open.pop(ticket, None)
        if open_ticket is None:
            self.violations.append(f"at {self._now:.3f}, {ticket}: completed, but was not open")
            return
        self._require(
            not open_ticket.watchers, f"{ticket}: completed before all watchers were notified"
        )
        self._require(
            open_ticket.polls == event.polls, f"{ticket}: {open_ticket.polls} polls, not {event}"
        )
        if isinstance(outcome, Unresolved) and isinstance(outcome.cause, ClientClosed):
            self._require(self.is_closing, f"{ticket}: the client was not closed")
            return
        kinds = [type(each) for each in open_ticket.valid_outcomes]
        is_valid = outcome in open_ticket.valid_outcomes or (
            isinstance(outcome, Unresolved) and type(outcome.cause) in kinds
        )
        self._require(is_valid, f"{ticket}: {outcome!r} is none of {open_ticket.valid_outcomes}")
