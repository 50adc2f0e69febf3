"""Counts the results of a batch run, and estimates its speed and time left."""

from collections import Counter, defaultdict, deque

from attrs import define, field, frozen

from ... import (
    Event,
    Failed,
    JournalDamaged,
    Outcome,
    Polled,
    PollFailed,
    Report,
    Saved,
    SaveResult,
    SubmissionConflict,
    SubmitUncertain,
    Success,
    Unresolved,
    Unsaved,
    Unsubmitted,
)
from ..exit_codes_and_advice import explain_unsaved
from ..output import count_of
from .row_name_ranges import join_names

# The current speed is the mean speed of the last 30 seconds.
_RATE_WINDOW_S = 30.0
# Before ten tickets have ended, an estimate of the time left would be too inaccurate.
_MIN_HANDLED_FOR_ESTIMATE = 10
_MAX_SHOWN_FAILURES = 5
# To save memory, the names of at most this many rows or tickets are kept for each kind of failure.
_MAX_NAMES_PER_REASON = 1000
# A time below 90 s is shown in seconds, a time below 90 min in minutes, and a longer one in hours.
_MINUTES_FROM_S, _HOURS_FROM_S = 90, 90 * 60


@frozen
class _Sample:
    """The counts of a run at one moment, from which the speed is computed."""

    seconds: float
    handled: int
    polls: int


@define(eq=False)
class RunProgress:
    """
    The counts of a batch run. Times are in seconds since the run began.

    Attributes:
        done_before: The number of tickets that were done before this run began. If the run saves
            files, a success counts as done only once its files are saved.
        done_by_others: The number of tickets that other processes have done during this run.
        given_up: The number of tickets that this run gave up on, without a final reply from the
            server.
        conflicts: The number of rows whose submission key belongs to a different request in the
            journal. `total` does not count these rows.
    """

    total: int = 0
    done_before: int = 0
    done_by_others: int = 0
    succeeded: int = 0
    failed: int = 0
    given_up: int = 0
    saved: int = 0
    unsaved: int = 0
    not_started: int = 0
    uncertain: int = 0
    conflicts: int = 0
    polls: int = 0
    is_saving: bool = False
    is_stopping: bool = False
    seconds: float = 0.0
    recent_failures: deque[tuple[str, str]] = field(
        factory=lambda: deque[tuple[str, str]](maxlen=_MAX_SHOWN_FAILURES)
    )
    reasons: Counter[str] = field(factory=Counter[str])
    _names: defaultdict[str, list[str]] = field(factory=lambda: defaultdict[str, list[str]](list))
    _samples: deque[_Sample] = field(
        factory=lambda: deque([_Sample(seconds=0.0, handled=0, polls=0)])
    )

    def begin(self, report: Report, *, is_saving: bool, to_submit: int = 0) -> None:
        """Set the initial counts, from the journal and the number of submits to make."""
        self.total, self.is_saving = report.tickets + to_submit, is_saving
        self.done_before = self._finished_count(report)

    def refresh(self, report: Report) -> None:
        """Update the counts from the journal, to which other processes may also write."""
        self.total = max(self.total, report.tickets)
        handled_here = self.failed + (self.saved if self.is_saving else self.succeeded)
        self.done_by_others = max(0, self._finished_count(report) - self.done_before - handled_here)

    def close(self, report: Report) -> None:
        """Set the final counts from the journal after the run."""
        self.total = max(self.total, report.tickets)
        remaining = report.open + (report.save_pending if self.is_saving else 0)
        self.done_by_others = max(
            0, report.tickets - remaining - self.done_before - self._ended_tickets
        )

    def _finished_count(self, report: Report) -> int:
        return report.saved + report.failed if self.is_saving else report.finished

    def on_event(self, event: Event) -> None:
        """Handle an event of the client: count the polls, and ignore all other events."""
        if isinstance(event, (Polled, PollFailed)):
            self.polls += 1

    def count_result(
        self,
        result: Outcome | SaveResult | Unsubmitted,
        name: str = "",
        *,
        was_recorded: bool = False,
    ) -> None:
        """
        Count one result of the run.

        Args:
            result: The result of a ticket or of a row.
            name: The result's name in lists of failures. "" means the name of its ticket.
            was_recorded: Whether the row's submission key was in the journal before this run.
        """
        if not name and not isinstance(result, Unsubmitted):
            name = str(result.ticket)
        match result:
            case Success():
                self.succeeded += 1
            case Saved():
                self.succeeded += 1
                self.saved += 1
            case Unsaved(cause=cause):
                self.unsaved += 1
                self._add_failure(name, explain_unsaved(cause.message, cause.argument))
            case Failed(message=message, reason=reason):
                self.failed += 1
                self._add_failure(name, message or reason)
            case Unresolved(cause=JournalDamaged(message=message)):
                self.unsaved += 1
                self._add_failure(name, message)
            case Unresolved(cause=cause):
                self.given_up += 1
                self._add_failure(name, cause.message)
            case Unsubmitted(cause=SubmitUncertain()):
                self.uncertain += 1
                # `total` does not include uncertain submits of earlier runs yet, so add this one.
                self.total += was_recorded
            case Unsubmitted(cause=SubmissionConflict(message=message)) if was_recorded:
                self.conflicts += 1
                self._add_failure(name, message)
            case Unsubmitted(cause=cause):
                self.not_started += 1
                self._add_failure(name, cause.message)

    def _add_failure(self, name: str, reason: str) -> None:
        self.recent_failures.append((name, reason))
        self.reasons[reason] += 1
        if len(names := self._names[reason]) < _MAX_NAMES_PER_REASON:
            names.append(name)

    def add_sample(self, now: float) -> None:
        """Record the counts at the time `now`. The current speed is computed from these records."""
        self.seconds = now
        self._samples.append(_Sample(now, self.handled_since_start, self.polls))
        while self._samples[0].seconds < now - _RATE_WINDOW_S:
            self._samples.popleft()

    @property
    def handled(self) -> int:
        """The number of tickets and submissions that this run has finished or given up on."""
        return self._ended_tickets + self.not_started + self.uncertain

    @property
    def _ended_tickets(self) -> int:
        return self.succeeded + self.failed + self.given_up + self.unsaved

    @property
    def handled_since_start(self) -> int:
        """
        The number of tickets and submissions finished or given up on since this run began.

        This includes the tickets of other processes.
        """
        return self.handled + self.done_by_others

    @property
    def completed(self) -> int:
        """
        The number of tickets that are done.

        It is `done_before` plus `handled_since_start`, but at most `total`.
        """
        return min(self.total, self.done_before + self.handled_since_start)

    @property
    def open(self) -> int:
        """The number of tickets that are not completed yet."""
        return self.total - self.completed

    @property
    def polls_per_second(self) -> float:
        """The current number of polls a second."""
        first, last = self._window()
        return _per_second(last.polls - first.polls, last.seconds - first.seconds)

    def remaining(self) -> tuple[float, float] | None:
        """
        Estimate the seconds until all tickets are completed. Return a lower and a higher estimate.

        One estimate assumes the mean speed of the whole run. The other estimate assumes the speed
        of the last half minute. Return None if no estimate is possible yet.
        """
        first, last = self._window()
        recent = _per_second(last.handled - first.handled, last.seconds - first.seconds)
        if self.handled_since_start < _MIN_HANDLED_FOR_ESTIMATE or not recent or not self.seconds:
            return None
        by_recent_speed = self.open / recent
        by_mean_speed = self.open * self.seconds / self.handled_since_start
        return min(by_recent_speed, by_mean_speed), max(by_recent_speed, by_mean_speed)

    def _window(self) -> tuple[_Sample, _Sample]:
        """Return the oldest and the newest of the recorded counts, which give the current speed."""
        return self._samples[0], self._samples[-1]

    def status_lines(self) -> list[str]:
        """Return two lines for the user: the counts, and the speed with the time left."""
        counts = [f"{self.succeeded:,} succeeded", f"{self.failed:,} failed"]
        if self.given_up:
            counts.append(f"{self.given_up:,} given up")
        if self.is_saving:
            counts.append(f"{self.saved:,} saved")
        if self.unsaved:
            counts.append(f"{self.unsaved:,} not saved")
        if self.not_started:
            counts.append(f"{self.not_started:,} not started")
        if self.uncertain:
            counts.append(f"{self.uncertain:,} uncertain")
        if self.done_before:
            counts.append(f"{self.done_before:,} before this run")
        if self.done_by_others:
            counts.append(f"{self.done_by_others:,} by other processes")
        speed = f"{self.open:,} open, {self.polls_per_second:,.0f} polls/s"
        if self.open and not self.is_stopping:
            speed += f", {_remaining_text(self.remaining())}"
        if self.is_stopping:
            speed += ", stopping"
        completed = f"{self.completed:,} of {self.total:,} completed ({', '.join(counts)})"
        if self.conflicts:
            completed += f", {count_of(self.conflicts, 'conflict', 'conflicts')} with the journal"
        return [completed, speed]

    def failure_lines(self) -> list[str]:
        """Return lines that say what went wrong in this run, or an empty list if nothing did."""
        counts = (
            (self.failed, "failed"),
            (self.given_up, "given up"),
            (self.unsaved, "not saved"),
            (self.not_started, "not started"),
            (self.uncertain, "uncertain"),
            (self.conflicts, "in conflict with the journal"),
        )
        message = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return [message, *self.reason_lines()] if message else []

    def reason_lines(self, max_chars: int | None = None) -> list[str]:
        """
        Return lines with the most common reasons for failure, and the rows or tickets that failed.

        Args:
            max_chars: The maximum length of the reason in a line; None for no limit.
        """
        return [
            f"{count:,} x {reason[:max_chars]} ({join_names(self._names[reason], count)})"
            for reason, count in self.reasons.most_common(_MAX_SHOWN_FAILURES)
        ]


def _per_second(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _remaining_text(remaining: tuple[float, float] | None) -> str:
    if remaining is None:
        return "time left unknown"
    low, high = (format_duration(seconds) for seconds in remaining)
    return f"about {high} left" if low == high else f"{low} to {high} left at this speed"


def format_duration(seconds: float) -> str:
    """Format a duration as text, in seconds, minutes or hours."""
    if seconds < _MINUTES_FROM_S:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOURS_FROM_S:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
