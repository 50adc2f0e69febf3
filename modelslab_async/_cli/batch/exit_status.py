"""Batch end: what a run leaves behind, as exit codes and as words that say what to do."""

from collections.abc import Iterator

from attrs import frozen

from ... import Report
from ..exit_codes import FAILED, NOT_FOUND, TIMED_OUT, UNSAVED
from .missing_files import MissingFiles


@frozen
class BatchSummary:
    """
    What a journal holds after a run.

    Attributes:
        report: Its counts.
        absent: Which of the saved files are not where this run was to save; None: it saved none.
    """

    report: Report
    missing_files: MissingFiles | None = None

    def codes(self, given_up: int) -> dict[int, int]:
        """
        The exit codes that it stands for, and for how many tickets each.

        Args:
            given_up: How many the run itself gave up, whose causes it knows better.
        """
        report = self.report
        counts = {
            FAILED: report.failed - report.not_found,
            NOT_FOUND: report.not_found,
            TIMED_OUT: report.open + max(0, report.unresolved - given_up),
            UNSAVED: report.save_pending
            + report.unsaved
            + (self.missing_files.count if self.missing_files else 0),
        }
        return {code: count for code, count in counts.items() if count}

    def messages(self, failed: int) -> Iterator[str]:
        """
        What is not as it should be and the run did not tell, in words.

        Args:
            failed: How many failures the run has told.
        """
        if (failed_elsewhere := self.report.failed - failed) > 0:
            yield (
                f"{failed_elsewhere:,} tickets failed in other runs; `batch export` lists why, and "
                "`batch retry --failed` asks again"
            )
        if self.missing_files is not None:
            yield from self.missing_files.messages()
        elif lacking := self.report.save_pending + self.report.unsaved:
            yield f"the files of {lacking:,} tickets are not saved; give --out FOLDER to save them"
