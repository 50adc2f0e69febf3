"""Report facts: what a journal knows of a run, gathered in one pass. It reads no clock."""

from array import array
from collections import Counter
from collections.abc import Callable

from attrs import define, field

from ... import Batch, Failed, Report, Success, Unresolved
from ...journal import Ended
from ..option_names import in_options


def _numbers() -> "array[float]":
    return array("d")


@define(eq=False)
class Facts:
    """
    Numbers of a batch. Moments are seconds since the first ticket was added.

    Attributes:
        report: What is counted.
        took: From the adding of each ticket to its outcome, in seconds.
        late: At most how late each end was noticed, where a look saw the ticket running.
        generation: What the server said of how long it worked, in seconds.
        looks: How many looks each ticket took.
        succeeded: When the successes were written down.
        failed: When the failures were.
        saving: From each success to its last file, in seconds.
        saved: When those last files were recorded.
        reasons: Why tickets failed, were given up or not saved.
        size: How many bytes are saved.
        began: When the first ticket was added, in seconds since 1970.
    """

    report: Report
    took: "array[float]" = field(factory=_numbers)
    late: "array[float]" = field(factory=_numbers)
    generation: "array[float]" = field(factory=_numbers)
    looks: "array[float]" = field(factory=_numbers)
    succeeded: "array[float]" = field(factory=_numbers)
    failed: "array[float]" = field(factory=_numbers)
    saving: "array[float]" = field(factory=_numbers)
    saved: "array[float]" = field(factory=_numbers)
    reasons: Counter[str] = field(factory=Counter[str])
    size: int = 0
    began: float = 0.0

    def take(self, ended: Ended) -> None:
        """Count one ticket."""
        self.began = min(self.began or ended.added, ended.added)
        self.took.append(max(0.0, ended.ended - ended.added))
        self.looks.append(ended.looks)
        if ended.late is not None:
            self.late.append(ended.late)
        match ended.outcome:
            case Success(generation_time=seconds):
                self.succeeded.append(ended.ended)
                if seconds is not None:
                    self.generation.append(seconds)
            case Failed(message=message, reason=reason):
                self.failed.append(ended.ended)
                self.reasons[message or reason] += 1
            case Unresolved(cause=cause):
                self.reasons[cause.message] += 1

    def finish(self) -> None:
        """Turn times of the world into moments of the run."""
        for moments in (self.succeeded, self.failed, self.saved):
            ordered = sorted(max(0.0, at - self.began) for at in moments)
            moments[:] = array("d", ordered)


async def gather(batch: Batch) -> Facts:
    """Read a journal from its beginning to its end."""
    facts = Facts(report=await batch.report())
    ends: dict[str, float] = {}
    saves = facts.report.files > 0
    async for ended in batch.journal.ended():
        facts.take(ended)
        if saves and isinstance(ended.outcome, Success):
            ends[str(ended.outcome.ticket)] = ended.ended
    await _files(batch, facts, ends.pop)
    for lacking in await batch.journal.lacking():
        facts.reasons[in_options(lacking.why)] += 1
    facts.finish()
    return facts


async def _files(batch: Batch, facts: Facts, end_of: Callable[[str, float], float]) -> None:
    lasts: dict[str, float] = {}
    async for file in batch.journal.all_files():
        facts.size += file.size
        lasts[str(file.ticket)] = max(file.at, lasts.get(str(file.ticket), 0.0))
    for ticket, at in lasts.items():
        facts.saved.append(at)
        facts.saving.append(max(0.0, at - end_of(ticket, at)))
