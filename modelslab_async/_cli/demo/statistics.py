"""Counts the demo's outcomes, and records how late the client noticed each one."""

from collections.abc import Iterable, Iterator
from statistics import median

from attrs import define, field

from ... import Event, Failed, Outcome, Pace, Polled, PollFailed, Success, Unresolved
from ..exit_codes_and_advice import INTERNAL_ERROR, code_for, worst_code
from .planned_jobs import PlannedJob

# If a poll begins more than half a second after it was due, this machine is too slow for the demo.
_MAX_OVERDUE_S = 0.5


@define(eq=False)
class DemoStatistics:
    """
    The counts of the demo.

    Attributes:
        longest: The longest duration of a job, in seconds.
        overdue: The longest delay between a poll's due time and its start, in seconds.
        mismatched: How many jobs did not end as planned.
        lateness: For each outcome, the seconds from the job's end until the client knew the
            outcome.
        first_failure: The first job that failed.
    """

    count: int = 0
    longest: float = 0.0
    polls: int = 0
    overdue: float = 0.0
    succeeded: int = 0
    failed: int = 0
    mismatched: int = 0
    seconds: float = 0.0
    unresolved: list[Unresolved] = field(factory=list[Unresolved])
    lateness: list[float] = field(factory=list[float])
    first_failure: Failed | None = None
    _open_jobs: dict[str, PlannedJob] = field(factory=dict[str, PlannedJob])

    def expect(self, jobs: Iterable[PlannedJob]) -> None:
        """Set the jobs whose outcomes the demo waits for."""
        self._open_jobs = {job.ticket: job for job in jobs}
        self.count = len(self._open_jobs)
        self.longest = max(job.duration for job in self._open_jobs.values())

    @property
    def tickets(self) -> list[str]:
        """The tickets that are still open."""
        return list(self._open_jobs)

    def on_event(self, event: Event) -> None:
        """Count the polls among the client's events, and record the longest delay of a poll."""
        if isinstance(event, (Polled, PollFailed)):
            self.polls += 1
        if isinstance(event, Polled):
            self.overdue = max(self.overdue, event.overdue)

    def count_outcome(self, outcome: Outcome, now: float) -> None:
        """
        Count an outcome.

        Args:
            outcome: The outcome.
            now: Seconds since the jobs began.
        """
        job = self._open_jobs.pop(str(outcome.ticket))
        if isinstance(outcome, Unresolved):
            self.unresolved.append(outcome)
            return
        self.lateness.append(now - job.duration)
        self.mismatched += job.fails is not isinstance(outcome, Failed)
        if isinstance(outcome, Success):
            self.succeeded += 1
        else:
            self.failed += 1
            self.first_failure = self.first_failure or outcome

    @property
    def completed(self) -> int:
        """The number of jobs that the server has reported as succeeded or failed."""
        return self.succeeded + self.failed

    @property
    def status_line(self) -> str:
        """A line of text for the user: how many jobs have ended, and how many polls were sent."""
        return (
            f"{self.completed:,} of {self.count:,} completed "
            f"({self.succeeded:,} succeeded, {self.failed:,} failed), {self.polls:,} polls"
        )

    @property
    def exit_code(self) -> int:
        """The exit code of the demo. A job that failed as planned does not count as a problem."""
        if self.mismatched or self._open_jobs:
            return INTERNAL_ERROR
        return worst_code(map(code_for, self.unresolved))

    def summary(self, families: int, pace: Pace) -> list[tuple[str, str]]:
        """Return the rows of the demo's result, each with a name and a text for the user."""
        completed = f"{self.completed:,} ({self.succeeded:,} succeeded, {self.failed:,} failed)"
        return [
            ("tickets", f"{self.count:,} of {families} families"),
            ("completed", completed),
            *self._failure_rows(),
            *self._problem_rows(),
            *self._delay_rows(pace),
            ("polls", f"{self.polls:,}, {self.polls / self.count:.1f} a ticket"),
            ("requests", f"{self.polls / self.seconds:,.0f} a second"),
            ("time", f"{self.seconds:.1f} s; the longest job ran {self.longest:.1f} s"),
        ]

    def _failure_rows(self) -> Iterator[tuple[str, str]]:
        if self.first_failure is not None:
            example = f"{self.first_failure.ticket}: {self.first_failure.message}"
            yield "failed", f"{self.failed / self.count:.1%}, on purpose, such as {example}"

    def _problem_rows(self) -> Iterator[tuple[str, str]]:
        if self.unresolved:
            yield "unresolved", f"{len(self.unresolved):,}: {self.unresolved[0].cause}"
        if wrong := self.mismatched + len(self._open_jobs):
            yield "WRONG", f"{wrong:,} outcomes are missing or not as planned"

    def _delay_rows(self, pace: Pace) -> Iterator[tuple[str, str]]:
        if self.lateness:
            allowed = pace.base_step(self.longest)
            median_delay, max_delay = median(self.lateness), max(self.lateness)
            delays = (
                f"median {median_delay:.2f} s, worst {max_delay:.2f} s after the job's true end"
            )
            yield "noticed", f"{delays}; the pace allows {allowed:.2g} s and a round trip"
        if self.overdue > _MAX_OVERDUE_S:
            reason = "more was due than this machine can poll"
            yield "overdue", f"polls began up to {self.overdue:.2f} s after they were due: {reason}"
