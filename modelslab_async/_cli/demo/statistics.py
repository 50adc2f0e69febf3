"""Demo figures: what was counted and how late each end was noticed. Reads no clock."""

from collections.abc import Iterable, Iterator
from statistics import median

from attrs import define, field

from ... import Event, Failed, Faulted, Looked, Outcome, Pace, Success, Unresolved
from ..exit_codes import DEFECT, code_of, worst
from .planned_jobs import Planted

# Looks that begin later than this are held up by the machine, not by the pace.
_BUSY = 0.5


@define(eq=False)
class Figures:
    """One run, as it is going."""

    count: int = 0
    longest: float = 0.0
    looks: int = 0
    overdue: float = 0.0
    succeeded: int = 0
    failed: int = 0
    mistaken: int = 0
    seconds: float = 0.0
    unresolved: list[Unresolved] = field(factory=list[Unresolved])
    lateness: list[float] = field(factory=list[float])
    _open: dict[str, Planted] = field(factory=dict[str, Planted])

    def expect(self, jobs: Iterable[Planted]) -> None:
        """Take in the truth, as the service planted it."""
        self._open = {job.ticket: job for job in jobs}
        self.count = len(self._open)
        self.longest = max(job.duration for job in self._open.values())

    @property
    def tickets(self) -> list[str]:
        """What is still open."""
        return list(self._open)

    def hear(self, event: Event) -> None:
        """Count what the poller tells."""
        if isinstance(event, (Looked, Faulted)):
            self.looks += 1
        if isinstance(event, Looked):
            self.overdue = max(self.overdue, event.late)

    def take(self, outcome: Outcome, now: float) -> None:
        """
        Count an outcome.

        Args:
            outcome: The outcome.
            now: Seconds since the jobs began.
        """
        job = self._open.pop(str(outcome.ticket))
        if isinstance(outcome, Unresolved):
            self.unresolved.append(outcome)
            return
        self.lateness.append(now - job.duration)
        self.mistaken += job.fails is not isinstance(outcome, Failed)
        if isinstance(outcome, Success):
            self.succeeded += 1
        else:
            self.failed += 1

    @property
    def settled(self) -> int:
        """How many tickets have ended by the server's word."""
        return self.succeeded + self.failed

    @property
    def line(self) -> str:
        """How far the run has come, on one line."""
        return (
            f"{self.settled:,} of {self.count:,} settled "
            f"({self.succeeded:,} succeeded, {self.failed:,} failed), {self.looks:,} looks"
        )

    @property
    def code(self) -> int:
        """The exit code: a job that failed as planted is a success of the demo."""
        if self.mistaken or self._open:
            return DEFECT
        return worst(map(code_of, self.unresolved))

    def summary(self, families: int, pace: Pace) -> list[tuple[str, str]]:
        """What a user wants to see, as names and values."""
        settled = f"{self.settled:,} ({self.succeeded:,} succeeded, {self.failed:,} failed)"
        return [
            ("tickets", f"{self.count:,} of {families} families"),
            ("settled", settled),
            *self._troubles(),
            *self._noticed(pace),
            ("looks", f"{self.looks:,}, {self.looks / self.count:.1f} a ticket"),
            ("requests", f"{self.looks / self.seconds:,.0f} a second"),
            ("time", f"{self.seconds:.1f} s; the longest job ran {self.longest:.1f} s"),
        ]

    def _troubles(self) -> Iterator[tuple[str, str]]:
        if self.unresolved:
            yield "unresolved", f"{len(self.unresolved):,}: {self.unresolved[0].cause}"
        if wrong := self.mistaken + len(self._open):
            yield "WRONG", f"{wrong:,} outcomes are missing or not what was planted"

    def _noticed(self, pace: Pace) -> Iterator[tuple[str, str]]:
        if self.lateness:
            allowed = pace.longest(self.longest)
            middle, worst_of_all = median(self.lateness), max(self.lateness)
            late = f"median {middle:.2f} s, worst {worst_of_all:.2f} s after the job's true end"
            yield "noticed", f"{late}; the pace allows {allowed:.2g} s and a round trip"
        if self.overdue > _BUSY:
            more = "more was due than this machine can look at"
            yield "overdue", f"looks began up to {self.overdue:.2f} s after they were due: {more}"
