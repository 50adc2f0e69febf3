"""Finds which rows of a table are already in the journal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import click
from attrs import field, frozen

from ... import Batch, UnusableFile
from ..._batch.submission_keys import is_derived
from ..._journal.results_of_tickets import SubmittedKey
from ..._submitting.endpoint_requests import EndpointRequests
from .. import output
from .submission_input import SubmissionRow


@frozen(kw_only=True)
class RowsInJournal:
    """
    Which rows of a table are in the journal already.

    Each row has a submission key, which is of one of two kinds: taken from a column of the table,
    or computed from the row's payload.

    Attributes:
        recorded: Maps each submission key in the journal to the submit with that key.
        new: The rows whose submission keys are not in the journal.
        rekeyed: The rows in `new` whose payloads are in the journal under a submission key of the
            other kind. An earlier run may have paid for them.
    """

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
        new = [row for row in rows if _key(row) not in recorded]
        # A new row is rekeyed if the journal holds an equal row with a submission key of the other
        # kind. There are two exceptions. If the recorded key is also in the table, the user wants
        # two equal rows. If the recorded submit failed, the user may submit the row again under a
        # new key.
        table_keys = {_key(row) for row in rows}
        kinds = defaultdict[tuple[str, str], set[bool]](set)
        for key, submit in recorded.items():
            if key not in table_keys and not submit.has_failed:
                kinds[submit.endpoint, submit.payload_hash].add(is_derived(key))
        rekeyed = [
            row
            for row in (new if kinds else ())
            if (not is_derived(_key(row))) in kinds.get(await _payload(row, endpoints), ())
        ]
        return cls(recorded=recorded, new=new, rekeyed=rekeyed)

    def check_keys(self) -> None:
        """
        Raise an error if `rekeyed` has rows, because this run would pay for them again.

        Such rows occur if an earlier run computed the submission keys and this run takes them from
        a column, or the reverse.

        Raises:
            click.UsageError: `rekeyed` has rows.
        """
        if self.rekeyed:
            rows = output.count_of(len(self.rekeyed), "row", "rows")
            verb = "is" if len(self.rekeyed) == 1 else "are"
            raise click.UsageError(
                f"{rows}, the first at {self.rekeyed[0].location}, {verb} in the "
                "journal under other keys, and would be paid for again; nothing was sent: give "
                "the same --key as before (or none, if you gave none), or another --journal"
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

    async def conflicts(
        self, rows: Sequence[SubmissionRow], endpoints: EndpointRequests
    ) -> list[SubmissionRow]:
        """Return the rows whose submission keys belong to another request in the journal."""
        return [
            row
            for row in rows
            if (submit := self.recorded.get(_key(row))) is not None
            and await _payload(row, endpoints)
            not in ((submit.endpoint, submit.payload_hash), (submit.endpoint, ""))
        ]


async def _payload(row: SubmissionRow, endpoints: EndpointRequests) -> tuple[str, str]:
    """
    Return a row's endpoint and the digest of its payload.

    The digest is "" if the payload contains a file that cannot be read any more.
    """
    try:
        submit_request = await endpoints.prepare(row.submission)
    except UnusableFile:
        return row.submission.endpoint, ""
    return row.submission.endpoint, submit_request.payload_hash


def _key(row: SubmissionRow) -> str:
    return row.submission.key or ""
