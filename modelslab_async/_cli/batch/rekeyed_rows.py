"""RekeyedRows: finds new rows whose work the journal has under other keys."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from ... import Submission, UnusableFile
from ..._batch.submission_keys import digest_of, is_derived_from
from ..._journal.results_of_tickets import SubmittedKey
from ..._submitting.endpoint_requests import EndpointRequests
from ...journal import Journal
from .row_keys import KeyKind, SubmissionRow, content_of, has_files, with_files_of
from .submission_table_spec import parameter_name

RecordedKind: TypeAlias = KeyKind | Literal["unknown"]

# The form of a derived key.
_DIGEST: Final = re.compile(r"[0-9a-f]{16}(-[0-9]+)?")


class RekeyedRows:
    """
    Finds the new rows whose work an earlier run may have paid for under other keys.

    Args:
        journal: Has the columns of each submit.
        endpoints: Prepares the rows' requests, to compute the digests of their payloads.
        recorded: The submits of the journal whose keys are not in the table, by their keys.
    """

    def __init__(
        self, journal: Journal, endpoints: EndpointRequests, recorded: Mapping[str, SubmittedKey]
    ) -> None:
        self._journal = journal
        self._endpoints = endpoints
        self._recorded = defaultdict[tuple[str, str], list[str]](list)
        for key, submit in recorded.items():
            self._recorded[submit.endpoint, submit.payload_hash].append(key)
        self._submits = recorded
        self._payloads: dict[str, tuple[str, str]] = {}
        # Equal rows share the result, because a journal may have thousands of equal submits.
        self._kinds: dict[tuple[str, ...], set[RecordedKind]] = {}

    async def find(self, rows: Iterable[SubmissionRow]) -> list[SubmissionRow]:
        """
        Return the rows, all of them new, whose work the journal has under another kind.

        Keys that were adopted do not count, and neither do submits that have failed: the user may
        submit their rows again under new keys.
        """
        if not self._recorded:
            return []
        return [row for row in rows if await self._recorded_kinds(row) - {row.kind}]

    async def adopt_keys(self, rows: Iterable[SubmissionRow]) -> dict[str, str]:
        """
        Map keys of new rows to keys of recorded rows that are equal but for the track_id.

        A program may give its rows new track_ids each time that it writes the table. Its rows are
        not paid for again. Each recorded row is found once.
        """
        adopted: dict[str, str] = {}
        for row in rows:
            if row.kind != "track_id" or not self._recorded:
                continue
            candidates = self._recorded.get(await self._payload(row), [])
            for key in candidates:
                if await self._kind(key, row) == "track_id":
                    adopted[row.key] = key
                    candidates.remove(key)
                    break
        return adopted

    async def _recorded_kinds(self, row: SubmissionRow) -> set[RecordedKind]:
        """Return the kinds of the keys under which the journal has the work of a row."""
        payload = await self._payload(row)
        if payload not in self._recorded:
            return set()
        has_track_id = "has track_id" if row.kind == "track_id" else ""
        group = *payload, has_track_id, digest_of(row.content), digest_of(row.submission)
        if group not in self._kinds:
            self._kinds[group] = {
                await self._kind(key, row)
                for key in self._recorded[payload]
                if not self._submits[key].has_failed
            }
        return self._kinds[group]

    async def _kind(self, key: str, row: SubmissionRow) -> RecordedKind:
        """
        Return the kind of a recorded key, whose submit has the same payload as the row.

        Its form does not say whether it is derived: an order number or a hash may look the same. A
        derived key is the digest of the row's content, for the payload is the same. Only a file may
        have had another path, which the recorded columns say.
        """
        kind = self._derived_kind(key, row.submission, row.content)
        if kind is None:
            if not has_files(row.submission) or _DIGEST.fullmatch(key) is None:
                return "own"
            cells = await self._recorded_cells(key)
            submission = with_files_of(row.submission, cells)
            kind = self._derived_kind(key, submission, content_of(submission, cells))
        if kind == "content" and row.kind == "track_id":
            # In an old journal, the key of a row with a track_id is derived from its content alone.
            has_track_id = "track_id" in await self._recorded_cells(key)
            return "track_id" if has_track_id else kind
        return kind or "unknown"

    def _derived_kind(
        self, key: str, submission: Submission, content: Submission
    ) -> KeyKind | None:
        """Return the kind of a key that is derived from one of the submissions, else None."""
        if is_derived_from(key, digest_of(content)) or is_derived_from(key, digest_of(submission)):
            return "content"
        is_known = is_derived_from(key, digest_of(content, track_id=self._submits[key].track_id))
        return "track_id" if is_known else None

    async def _payload(self, row: SubmissionRow) -> tuple[str, str]:
        """Return `payload_of` a row. Its files are read once."""
        if row.location not in self._payloads:
            self._payloads[row.location] = await payload_of(row, self._endpoints)
        return self._payloads[row.location]

    async def _recorded_cells(self, key: str) -> dict[str, Any]:
        submit = await self._journal.find_submit_by_key(key)
        columns = {} if submit is None else submit.columns
        return {parameter_name(name): cell for name, cell in columns.items()}


async def payload_of(row: SubmissionRow, endpoints: EndpointRequests) -> tuple[str, str]:
    """
    Return a row's endpoint and the digest of its payload.

    The digest is "" if the payload contains a file that cannot be read any more.
    """
    try:
        submit_request = await endpoints.prepare(row.submission)
    except UnusableFile:
        return row.submission.endpoint, ""
    return row.submission.endpoint, submit_request.payload_hash
