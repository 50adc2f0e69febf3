"""Batch figures: how far a run has come, how fast, and how long it may still take. No clock."""

from collections import Counter, deque

from attrs import define, field

from ... import (
    Event,
    Failed,
    Outcome,
    Polled,
    PollFailed,
    Report,
    Saved,
    SaveResult,
    Success,
    Unresolved,
    Unsaved,
)
from ..option_names import with_option_names

# Over so many seconds the speed of now is taken.
_RATE_WINDOW_S = 30.0
# With less than so many settled there is no telling how long the rest will take.
_MIN_HANDLED_FOR_ESTIMATE = 10
_MAX_SHOWN_FAILURES = 5
# From here on a length of time is told in minutes, and in hours.
_MINUTES_FROM_S, _HOURS_FROM_S = 90, 90 * 60


@define(eq=False)
class RunProgress:
    """One run, as it is going. Times are seconds since it began."""

    total: int = 0
    done_before: int = 0
    done_by_others: int = 0
    succeeded: int = 0
    failed: int = 0
    given_up: int = 0
    saved: int = 0
    unsaved: int = 0
    polls: int = 0
    is_saving: bool = False
    is_stopping: bool = False
    seconds: float = 0.0
    recent_failures: deque[tuple[str, str]] = field(
        factory=lambda: deque[tuple[str, str]](maxlen=_MAX_SHOWN_FAILURES)
    )
    reasons: Counter[str] = field(factory=Counter[str])
    _samples: deque[tuple[float, int, int]] = field(factory=deque[tuple[float, int, int]])

    def begin(self, report: Report, *, is_saving: bool) -> None:
        """Take in what the journal holds before the run."""
        self.total, self.is_saving = report.tickets, is_saving
        self.done_before = self._finished_count(report)
        self._samples.append((0.0, 0, 0))

    def refresh(self, report: Report) -> None:
        """Take in what the journal holds by now, so that what others did of it is seen."""
        self.total = report.tickets
        handled_here = self.failed + (self.saved if self.is_saving else self.succeeded)
        self.done_by_others = max(0, self._finished_count(report) - self.done_before - handled_here)

    def close(self, report: Report) -> None:
        """Take in what the journal holds in the end: its word is the last."""
        self.total = report.tickets
        remaining = report.open + (report.save_pending if self.is_saving else 0)
        self.done_by_others = max(0, report.tickets - remaining - self.done_before - self.handled)

    def _finished_count(self, report: Report) -> int:
        return report.saved + report.failed if self.is_saving else report.finished

    def on_event(self, event: Event) -> None:
        """Count what the poller tells."""
        if isinstance(event, (Polled, PollFailed)):
            self.polls += 1

    def count_result(self, result: Outcome | SaveResult) -> None:
        """Count what a run gives."""
        match result:
            case Success():
                self.succeeded += 1
            case Saved():
                self.succeeded += 1
                self.saved += 1
            case Unsaved(cause=cause):
                self.unsaved += 1
                self._add_failure(result, cause.message)
            case Failed(message=message, reason=reason):
                self.failed += 1
                self._add_failure(result, message or reason)
            case Unresolved(cause=cause):
                self.given_up += 1
                self._add_failure(result, cause.message)

    def _add_failure(self, result: Outcome | SaveResult, why: str) -> None:
        message = with_option_names(why)
        self.recent_failures.append((str(result.ticket), message))
        self.reasons[message] += 1

    def add_sample(self, now: float) -> None:
        """Note the time, for what is told of speed."""
        self.seconds = now
        self._samples.append((now, self.handled_since_start, self.polls))
        while self._samples[0][0] < now - _RATE_WINDOW_S:
            self._samples.popleft()

    @property
    def handled(self) -> int:
        """How many tickets this run has dealt with."""
        return self.succeeded + self.failed + self.given_up + self.unsaved

    @property
    def handled_since_start(self) -> int:
        """How many were dealt with since this run began, here or by others."""
        return self.handled + self.done_by_others

    @property
    def completed(self) -> int:
        """How many tickets are dealt with, those before this run included."""
        return min(self.total, self.done_before + self.handled_since_start)

    @property
    def open(self) -> int:
        """How many are left."""
        return self.total - self.completed

    @property
    def polls_per_second(self) -> float:
        """How many polls go out now."""
        return self._rate(2)

    def remaining(self) -> tuple[float, float] | None:
        """
        How many seconds the rest may take, from and to; None: nothing says.

        One end goes by the speed of the whole run, the other by that of the last half minute.
        """
        recent = self._rate(1)
        if self.handled_since_start < _MIN_HANDLED_FOR_ESTIMATE or not recent or not self.seconds:
            return None
        one, other = self.open / recent, self.open * self.seconds / self.handled_since_start
        return min(one, other), max(one, other)

    def _rate(self, column: int) -> float:
        if not self._samples:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        return (last[column] - first[column]) / (last[0] - first[0]) if last[0] > first[0] else 0.0

    def status_lines(self) -> list[str]:
        """How far the run has come, in words."""
        counts = [f"{self.succeeded:,} succeeded", f"{self.failed:,} failed"]
        if self.given_up:
            counts.append(f"{self.given_up:,} given up")
        if self.is_saving:
            counts.append(f"{self.saved:,} saved")
        if self.unsaved:
            counts.append(f"{self.unsaved:,} not saved")
        if self.done_before:
            counts.append(f"{self.done_before:,} before this run")
        if self.done_by_others:
            counts.append(f"{self.done_by_others:,} by other processes")
        speed = f"{self.open:,} open, {self.polls_per_second:,.0f} polls/s"
        if self.open and not self.is_stopping:
            speed += f", {_remaining_text(self.remaining())}"
        if self.is_stopping:
            speed += ", stopping"
        return [f"{self.completed:,} of {self.total:,} completed ({', '.join(counts)})", speed]

    def failure_lines(self) -> list[str]:
        """What went wrong in this run, in words; empty where nothing did."""
        counts = (
            (self.failed, "failed"),
            (self.given_up, "given up"),
            (self.unsaved, "not saved"),
        )
        message = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return [message, *self.why()] if message else []

    def why(self) -> list[str]:
        """The commonest reasons of what went wrong, each with its number."""
        return [
            f"{count:,} x {why}" for why, count in self.reasons.most_common(_MAX_SHOWN_FAILURES)
        ]


def _remaining_text(remaining: tuple[float, float] | None) -> str:
    if remaining is None:
        return "time left unknown"
    low, high = (format_duration(seconds) for seconds in remaining)
    return f"about {high} left" if low == high else f"{low} to {high} left at this speed"


def format_duration(seconds: float) -> str:
    """A length of time, as precise as a reader wants it."""
    if seconds < _MINUTES_FROM_S:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOURS_FROM_S:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
