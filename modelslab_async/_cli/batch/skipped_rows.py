"""SkippedRows: collects skipped rows, and prints one message for each kind of problem."""

from collections import defaultdict

from attrs import define, field

from ..exit_tally import ExitTally
from .row_name_ranges import join_names


@define
class SkippedRows:
    """
    The locations of skipped rows, grouped by their problem.

    Attributes:
        source: The name of the file, for the messages.
    """

    source: str
    _locations: defaultdict[str, list[str]] = field(
        factory=lambda: defaultdict[str, list[str]](list)
    )

    def add(self, location: str, problem: str) -> None:
        """Add a row, with the reason why it is skipped."""
        self._locations[problem].append(location)

    def report(self, tally: ExitTally) -> None:
        """Print a message for each problem, and count its rows."""
        for problem, locations in self._locations.items():
            rows = join_names(locations, len(locations))
            tally.count_skipped(f"{rows} of {self.source} skipped: {problem}", len(locations))
