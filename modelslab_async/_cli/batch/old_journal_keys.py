"""Finds the rows that an old journal has under other keys than those that are derived now."""

from collections.abc import Mapping, Sequence

from ..._batch.submission_keys import SubmissionKeys, digest_of, is_derived_from
from ..._journal.results_of_tickets import SubmittedKey
from .row_keys import SubmissionRow


def with_recorded_keys(
    rows: Sequence[SubmissionRow], recorded: Mapping[str, SubmittedKey]
) -> list[SubmissionRow]:
    """
    Return the rows. Those that an old journal has get the keys under which it has them.

    A derived key of an old journal depends on the paths of files, but on no track_id. So equal rows
    with different track_ids have the same digest, and are numbered in the order of their table.

    Args:
        rows: The rows with their submission keys.
        recorded: The submits in the journal by their submission keys.
    """
    by_track_id = {submit.track_id: key for key, submit in recorded.items()}
    taken, found = set[str](), list[SubmissionRow]()
    for row in rows:
        key = None if row.key in recorded else by_track_id.get(row.track_id or "")
        is_free = key is not None and key not in taken
        if key is not None and is_free and is_derived_from(key, digest_of(row.submission)):
            taken.add(key)
            found.append(row.with_key(key))
        else:
            found.append(row)
    return _number_other_rows(found, recorded, taken)


def _number_other_rows(
    rows: Sequence[SubmissionRow], recorded: Mapping[str, SubmittedKey], taken: set[str]
) -> list[SubmissionRow]:
    """Return the rows. Those without a track_id get no key in `taken`."""
    keys, taken_digests = SubmissionKeys(), {_without_number(key) for key in taken}
    found: list[SubmissionRow] = []
    for row in rows:
        has_file = row.has_unlisted_file
        digest = digest_of(row.submission) if has_file else _without_number(row.key)
        if row.kind != "content" or not (has_file or digest in taken_digests):
            found.append(row)
            continue
        while (key := keys.number(digest)) in taken:
            pass
        is_old = not has_file or (row.key not in recorded and key in recorded)
        found.append(row.with_key(key) if is_old else row)
    return found


def _without_number(key: str) -> str:
    return key.partition("-")[0]
