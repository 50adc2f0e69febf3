"""Computes exit codes and messages from what a journal holds after a run."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from ... import Report
from ...journal import PendingSubmit
from .. import output
from ..exit_codes_and_advice import FAILED, NOT_FOUND, TIMED_OUT, UNCERTAIN, UNSAVED
from .missing_saved_files import MissingFiles


@frozen
class JournalExitCodes:
    """
    What a journal holds after a run.

    Attributes:
        report: How many tickets and files the journal holds in each state.
        missing_files: The recorded files that are not in this run's folder. None if the run saves
            no files.
        uncertain: The submits that may or may not have started work.
    """

    report: Report
    missing_files: MissingFiles | None = None
    uncertain: Sequence[PendingSubmit] = ()

    def codes(self, given_up: int) -> dict[int, int]:
        """
        Return each exit code that applies, with the number of tickets, files or submits behind it.

        Args:
            given_up: How many tickets this run gave up on. The result leaves them out, because the
                run has counted them already.
        """
        report = self.report
        counts = {
            FAILED: report.failed - report.not_found,
            NOT_FOUND: report.not_found,
            TIMED_OUT: report.open + max(0, report.unresolved - given_up),
            UNSAVED: report.save_pending
            + report.unsaved
            + (self.missing_files.count if self.missing_files else 0),
            UNCERTAIN: len(self.uncertain),
        }
        return {code: count for code, count in counts.items() if count}

    def messages(self, failed: int) -> Iterator[str]:
        """
        Yield a message for each kind of problem that the run itself has not reported.

        Args:
            failed: How many failed tickets the run has reported.
        """
        if (failed_elsewhere := self.report.failed - failed) > 0:
            yield (
                f"{output.count_of(failed_elsewhere, 'ticket', 'tickets')} failed in other runs; "
                "`batch export` lists why, and `batch retry --failed` polls "
                f"{'it' if failed_elsewhere == 1 else 'them'} again"
            )
        if self.uncertain:
            verb, them = ("is", "it") if len(self.uncertain) == 1 else ("are", "them")
            yield (
                f"{output.count_of(len(self.uncertain), 'submit', 'submits')} may or may not have "
                f"started work, and {verb} never sent again; `batch uncertain` lists {them}, and "
                "says what to do"
            )
        if self.missing_files is not None:
            yield from self.missing_files.messages()
        elif unsaved := self.report.save_pending + self.report.unsaved:
            tickets = output.count_of(unsaved, "ticket", "tickets")
            yield f"the files of {tickets} are not saved; give --out FOLDER to save them"
