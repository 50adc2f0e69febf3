"""Finds which rows of a table are already in the journal."""

from collections.abc import Mapping, Sequence

import click
from attrs import field, frozen

from ... import Batch
from ..._journal.results_of_tickets import SubmittedKey
from ..._submitting.endpoint_requests import EndpointRequests
from .. import output
from .old_journal_keys import with_recorded_keys
from .rekeyed_rows import RekeyedRows, payload_of
from .row_keys import SubmissionRow


@frozen(kw_only=True)
class RowsInJournal:
    """
    Which rows of a table are in the journal already.

    Attributes:
        rows: All rows of the table. A row of an old journal has the submission key that it has
            there.
        recorded: Maps each submission key in the journal to the submit with that key.
        new: The rows whose submission keys are not in the journal.
        rekeyed: The rows in `new` whose payloads are in the journal under a submission key of
            another kind, such as a key from a column. An earlier run may have paid for them.
    """

    rows: Sequence[SubmissionRow]
    recorded: Mapping[str, SubmittedKey] = field(factory=dict[str, SubmittedKey])
    new: Sequence[SubmissionRow]
    rekeyed: Sequence[SubmissionRow] = ()

    @classmethod
    async def find(
        cls,
        batch: Batch,
        endpoints: EndpointRequests,
        rows: Sequence[SubmissionRow],
        *,
        saves_files: bool,
    ) -> "RowsInJournal":
        """
        Compare the rows of a table with a journal.

        Args:
            batch: The batch with the journal.
            endpoints: Prepares the rows' requests, to compute the digests of their payloads.
            rows: The rows.
            saves_files: Whether a submit counts as finished only once its files are saved.
        """
        recorded = await batch.journal.leases.submitted_keys(saves_files=saves_files)
        rows = with_recorded_keys(rows, recorded)
        # If the key of a recorded row is in the table too, the user wants two equal rows.
        table_keys = {row.key for row in rows}
        left = {key: submit for key, submit in recorded.items() if key not in table_keys}
        rekeyed_rows = RekeyedRows(batch.journal, endpoints, left)
        adopted = await rekeyed_rows.adopt_keys(row for row in rows if row.key not in recorded)
        rows = [row.with_key(adopted.get(row.key, row.key)) for row in rows]
        new = [row for row in rows if row.key not in recorded]
        rekeyed = await rekeyed_rows.find(new)
        return cls(rows=rows, recorded=recorded, new=new, rekeyed=rekeyed)

    def check_keys(self) -> None:
        """
        Raise an error if `rekeyed` has rows, because this run would pay for them again.

        Such rows occur if an earlier run computed the submission keys and this run takes them from
        a column, or the reverse. They also occur if the table had no track_ids and has them now, or
        the reverse.

        Raises:
            click.UsageError: `rekeyed` has rows.
        """
        if self.rekeyed:
            rows = output.count_of(len(self.rekeyed), "row", "rows")
            verb = "is" if len(self.rekeyed) == 1 else "are"
            raise click.UsageError(
                f"{rows}, the first at {self.rekeyed[0].location}, {verb} in the "
                "journal under other keys, and would be paid for again; nothing was sent: give "
                "the same --key as before (or none, if you gave none) and the same track_ids, or "
                "another --journal"
            )

    def check_count(self, max_submits: int | None) -> None:
        """
        Raise an error if a run would submit more rows than the user allows.

        Args:
            max_submits: How many submits the run may pay for. None for no limit.

        Raises:
            click.UsageError: There are more new rows than `max_submits`.
        """
        if max_submits is not None and (new := len(self.new)) > max_submits:
            raise click.UsageError(
                f"this would start {output.count_of(new, 'generation', 'generations')}, "
                f"and --most allows {max_submits:,}; nothing was sent"
            )

    async def conflicts(self, endpoints: EndpointRequests) -> list[SubmissionRow]:
        """Return the rows whose submission keys belong to another request in the journal."""
        return [
            row
            for row in self.rows
            if (submit := self.recorded.get(row.key)) is not None
            and await payload_of(row, endpoints)
            not in ((submit.endpoint, submit.payload_hash), (submit.endpoint, ""))
        ]
