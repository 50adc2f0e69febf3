"""Batch figures: how far a run has come, how fast, and how long it may still take. No clock."""

from collections import Counter, deque

from attrs import define, field

from ... import (
    Delivery,
    Event,
    Failed,
    Faulted,
    Looked,
    Outcome,
    Report,
    Saved,
    Success,
    Unresolved,
    Unsaved,
)
from ..option_names import in_options

# Over so many seconds the speed of now is taken.
_RECENT = 30.0
# With less than so many settled there is no telling how long the rest will take.
_FEW = 10
_SHOWN = 5
# From here on a length of time is told in minutes, and in hours.
_MINUTES, _HOURS = 90, 90 * 60


@define(eq=False)
class Figures:
    """One run, as it is going. Times are seconds since it began."""

    total: int = 0
    before: int = 0
    others: int = 0
    succeeded: int = 0
    failed: int = 0
    given_up: int = 0
    saved: int = 0
    unsaved: int = 0
    looks: int = 0
    saves: bool = False
    stopping: bool = False
    seconds: float = 0.0
    failures: deque[tuple[str, str]] = field(factory=lambda: deque[tuple[str, str]](maxlen=_SHOWN))
    reasons: Counter[str] = field(factory=Counter[str])
    _marks: deque[tuple[float, int, int]] = field(factory=deque[tuple[float, int, int]])

    def begin(self, report: Report, *, saves: bool) -> None:
        """Take in what the journal holds before the run."""
        self.total, self.saves = report.tickets, saves
        self.before = self._over(report)
        self._marks.append((0.0, 0, 0))

    def refresh(self, report: Report) -> None:
        """Take in what the journal holds by now, so that what others did of it is seen."""
        self.total = report.tickets
        here = self.failed + (self.saved if self.saves else self.succeeded)
        self.others = max(0, self._over(report) - self.before - here)

    def close(self, report: Report) -> None:
        """Take in what the journal holds in the end: its word is the last."""
        self.total = report.tickets
        left = report.open + (report.owed if self.saves else 0)
        self.others = max(0, report.tickets - left - self.before - self.ended)

    def _over(self, report: Report) -> int:
        return report.saved + report.failed if self.saves else report.over

    def hear(self, event: Event) -> None:
        """Count what the poller tells."""
        if isinstance(event, (Looked, Faulted)):
            self.looks += 1

    def take(self, news: Outcome | Delivery) -> None:
        """Count what a run gives."""
        match news:
            case Success():
                self.succeeded += 1
            case Saved():
                self.succeeded += 1
                self.saved += 1
            case Unsaved(cause=cause):
                self.unsaved += 1
                self._trouble(news, cause.message)
            case Failed(message=message, reason=reason):
                self.failed += 1
                self._trouble(news, message or reason)
            case Unresolved(cause=cause):
                self.given_up += 1
                self._trouble(news, cause.message)

    def _trouble(self, news: Outcome | Delivery, why: str) -> None:
        told = in_options(why)
        self.failures.append((str(news.ticket), told))
        self.reasons[told] += 1

    def at(self, now: float) -> None:
        """Note the time, for what is told of speed."""
        self.seconds = now
        self._marks.append((now, self.done, self.looks))
        while self._marks[0][0] < now - _RECENT:
            self._marks.popleft()

    @property
    def ended(self) -> int:
        """How many tickets this run has dealt with."""
        return self.succeeded + self.failed + self.given_up + self.unsaved

    @property
    def done(self) -> int:
        """How many were dealt with since this run began, here or by others."""
        return self.ended + self.others

    @property
    def settled(self) -> int:
        """How many tickets are dealt with, those before this run included."""
        return min(self.total, self.before + self.done)

    @property
    def open(self) -> int:
        """How many are left."""
        return self.total - self.settled

    @property
    def looks_a_second(self) -> float:
        """How many looks go out now."""
        return self._speed(2)

    def left(self) -> tuple[float, float] | None:
        """
        How many seconds the rest may take, from and to; None: nothing says.

        One end goes by the speed of the whole run, the other by that of the last half minute.
        """
        recent = self._speed(1)
        if self.done < _FEW or not recent or not self.seconds:
            return None
        one, other = self.open / recent, self.open * self.seconds / self.done
        return min(one, other), max(one, other)

    def _speed(self, column: int) -> float:
        if not self._marks:
            return 0.0
        first, last = self._marks[0], self._marks[-1]
        return (last[column] - first[column]) / (last[0] - first[0]) if last[0] > first[0] else 0.0

    def lines(self) -> list[str]:
        """How far the run has come, in words."""
        counts = [f"{self.succeeded:,} succeeded", f"{self.failed:,} failed"]
        if self.given_up:
            counts.append(f"{self.given_up:,} given up")
        if self.saves:
            counts.append(f"{self.saved:,} saved")
        if self.unsaved:
            counts.append(f"{self.unsaved:,} not saved")
        if self.before:
            counts.append(f"{self.before:,} before this run")
        if self.others:
            counts.append(f"{self.others:,} by other processes")
        speed = f"{self.open:,} open, {self.looks_a_second:,.0f} looks/s"
        if self.open and not self.stopping:
            speed += f", {_words(self.left())}"
        if self.stopping:
            speed += ", stopping"
        return [f"{self.settled:,} of {self.total:,} settled ({', '.join(counts)})", speed]

    def troubles(self) -> list[str]:
        """What went wrong in this run, in words; empty where nothing did."""
        counts = (
            (self.failed, "failed"),
            (self.given_up, "given up"),
            (self.unsaved, "not saved"),
        )
        told = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return [told, *self.why()] if told else []

    def why(self) -> list[str]:
        """The commonest reasons of what went wrong, each with its number."""
        return [f"{count:,} x {why}" for why, count in self.reasons.most_common(_SHOWN)]


def _words(left: tuple[float, float] | None) -> str:
    if left is None:
        return "time left unknown"
    low, high = (duration(seconds) for seconds in left)
    return f"about {high} left" if low == high else f"{low} to {high} left at this speed"


def duration(seconds: float) -> str:
    """A length of time, as precise as a reader wants it."""
    if seconds < _MINUTES:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOURS:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
