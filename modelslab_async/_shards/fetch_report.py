"""The result of a fetch on a cluster: what was written, and what could not be written."""

from attrs import evolve, frozen

from .._models.errors import ModelsLabError
from .shard_output import PartCounts
from .split_file import SplitFile


@frozen(kw_only=True)
class FetchReport:
    """
    What a call of `modelslab_async.dask.fetch` found and wrote.

    A part is an output file with the outcomes of some tickets.

    Attributes:
        success: How many tickets have succeeded, in all parts together.
        failed: How many tickets have failed, according to the server.
        unresolved: How many tickets are unfinished. The next call polls them again.
        written: The number of parts that this call wrote.
        kept: The number of parts that were complete before this call.
        skipped: The number of rows without a ticket.
        problems: Why rows were skipped, for at most the first 20 skipped rows of each file.
    """

    success: int = 0
    failed: int = 0
    unresolved: int = 0
    written: int = 0
    kept: int = 0
    skipped: int = 0
    problems: tuple[str, ...] = ()

    def plus_split(self, split: SplitFile) -> "FetchReport":
        """Return a copy of this report that also counts the results of a split input file."""
        return evolve(
            self._plus(split.counts),
            kept=self.kept + split.kept,
            skipped=self.skipped + split.skipped,
            problems=(*self.problems, *split.problems),
        )

    def plus_part(self, counts: PartCounts) -> "FetchReport":
        """Return a copy of this report that also counts a newly written output file."""
        return evolve(self._plus(counts), written=self.written + 1)

    def _plus(self, counts: PartCounts) -> "FetchReport":
        return evolve(
            self,
            success=self.success + counts.success,
            failed=self.failed + counts.failed,
            unresolved=self.unresolved + counts.unresolved,
        )


@frozen(kw_only=True)
class ShardFailure:
    """
    An output file that could not be written, or an input file that could not be split.

    Attributes:
        path: The path of the file.
        error: The error that the worker raised. If the worker's process died, the error by which
            the cluster reports this.
    """

    path: str
    error: Exception


class ShardsFailed(ModelsLabError):
    """
    Some output files could not be written. The next call of `fetch` tries to write them again.

    Attributes:
        failures: The output files that could not be written, and the input files that could not be
            split into shards.
        report: What was written.
    """

    # All arguments have defaults, because unpickling calls the class with the message alone.
    def __init__(
        self,
        message: str = "",
        *,
        failures: tuple[ShardFailure, ...] = (),
        report: FetchReport | None = None,
    ) -> None:
        super().__init__(message)
        self.failures = failures
        self.report = report or FetchReport()
