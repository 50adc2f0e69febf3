"""Collects the numbers for the report about a batch from its journal."""

from array import array
from collections import Counter
from collections.abc import Callable

from attrs import define, field

from ... import Batch, Failed, Report, Success, Unresolved
from ...journal import RecordedOutcome
from ..exit_codes_and_advice import explain_unsaved


def _float_array() -> "array[float]":
    return array("d")


@define(eq=False)
class ReportData:
    """
    The numbers for the report about a batch.

    `succeeded`, `failed` and `saved` hold times in seconds since 1970. `finish` turns them into
    seconds since `began`.

    Attributes:
        report: How many tickets and files the journal holds in each state.
        outcome_times: For each ticket, the seconds from its addition to its outcome.
        late: For each ticket, an upper bound on the seconds from the end of its job to the poll
            that noticed this end. Tickets without such a bound are left out.
        generation_times: For each success, how many seconds the server worked. Replies that do not
            contain this number are left out.
        polls: The number of polls of each ticket.
        succeeded: When each success was recorded.
        failed: When each failure was recorded.
        save_times: For each saved ticket, the seconds from its success until its last file was
            saved.
        saved: For each saved ticket, when its last file was recorded.
        reasons: The reasons why tickets failed, were unresolved or were not saved, with counts.
        size: The number of saved bytes.
        began: When the first ticket was added, in seconds since 1970. Tickets without an outcome
            are ignored. 0 if no ticket has an outcome.
    """

    report: Report
    outcome_times: "array[float]" = field(factory=_float_array)
    late: "array[float]" = field(factory=_float_array)
    generation_times: "array[float]" = field(factory=_float_array)
    polls: "array[float]" = field(factory=_float_array)
    succeeded: "array[float]" = field(factory=_float_array)
    failed: "array[float]" = field(factory=_float_array)
    save_times: "array[float]" = field(factory=_float_array)
    saved: "array[float]" = field(factory=_float_array)
    reasons: Counter[str] = field(factory=Counter[str])
    size: int = 0
    began: float = 0.0

    def add_ticket(self, ended: RecordedOutcome) -> None:
        """Add the numbers of a ticket that has an outcome."""
        self.began = min(self.began or ended.added_at, ended.added_at)
        self.outcome_times.append(max(0.0, ended.completed_at - ended.added_at))
        self.polls.append(ended.polls)
        if ended.max_lag is not None:
            self.late.append(ended.max_lag)
        match ended.outcome:
            case Success(generation_time=seconds):
                self.succeeded.append(ended.completed_at)
                if seconds is not None:
                    self.generation_times.append(seconds)
            case Failed(message=message, reason=reason):
                self.failed.append(ended.completed_at)
                self.reasons[message or reason] += 1
            case Unresolved(cause=cause):
                self.reasons[cause.message] += 1

    def finish(self) -> None:
        """Turn the times of results into seconds since `began`, and sort them."""
        for moments in (self.succeeded, self.failed, self.saved):
            ordered = sorted(max(0.0, at - self.began) for at in moments)
            moments[:] = array("d", ordered)


async def read_journal(batch: Batch) -> ReportData:
    """Collect the numbers of all tickets and files in a journal."""
    data = ReportData(report=await batch.report())
    ended_at: dict[str, float] = {}
    saves = data.report.files > 0
    async for ended in batch.journal.recorded_outcomes():
        data.add_ticket(ended)
        if saves and isinstance(ended.outcome, Success):
            ended_at[str(ended.outcome.ticket)] = ended.completed_at
    await _add_files(batch, data, ended_at.pop)
    for ticket in await batch.journal.unsaved():
        data.reasons[explain_unsaved(ticket.error, ticket.argument)] += 1
    data.finish()
    return data


async def _add_files(
    batch: Batch, data: ReportData, pop_ended_at: Callable[[str, float], float]
) -> None:
    last_saved_at: dict[str, float] = {}
    async for file in batch.journal.all_files():
        data.size += file.size
        last_saved_at[str(file.ticket)] = max(
            file.recorded_at, last_saved_at.get(str(file.ticket), 0.0)
        )
    for ticket, at in last_saved_at.items():
        data.saved.append(at)
        data.save_times.append(max(0.0, at - pop_ended_at(ticket, at)))
