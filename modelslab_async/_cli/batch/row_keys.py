"""SubmissionRow: a row of a table, and how the command derives the key of a row without one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import evolve, frozen

from ... import ENDPOINTS, Submission
from ..._batch.submission_keys import SubmissionKeys, digest_of
from ..endpoint_parameter_options import is_link, parse_plain

KeyKind: TypeAlias = Literal["own", "track_id", "content"]


@frozen
class SubmissionRow:
    """
    The submission of one row, and what its submission key is made of.

    A row has a submission key of its own, from a column of the table. Or the command derives the
    key: from the track_id and the content of the row or, if it has no track_id, from its content.

    Attributes:
        location: The location of the row, such as `line 3`.
        submission: The submission.
        content: The submission whose digest is the derived key. In it, a file of a parameter that
            the registry does not list is the text of its cell. So the row has the same key whether
            or not the file exists. It is `submission` itself if there is no such file.
        kind: What the submission key is made of.
    """

    location: str
    submission: Submission
    content: Submission
    kind: KeyKind

    @classmethod
    def of(cls, location: str, submission: Submission, content: Submission) -> "SubmissionRow":
        """Return the row of a submission, whose submission key is None if the row has none."""
        if submission.key is not None:
            return cls(location, submission, content, "own")
        has_track_id = submission.parameters.get("track_id") is not None
        return cls(location, submission, content, "track_id" if has_track_id else "content")

    @property
    def key(self) -> str:
        """The submission key; "" before the row has one."""
        return self.submission.key or ""

    @property
    def track_id(self) -> str | None:
        """The track_id on which the derived key depends; None if the key depends on none."""
        return str(self.submission.parameters["track_id"]) if self.kind == "track_id" else None

    @property
    def has_unlisted_file(self) -> bool:
        """Whether a parameter that the registry does not list is a file."""
        return self.content is not self.submission

    def with_key(self, key: str) -> "SubmissionRow":
        """Return a copy of the row with another submission key."""
        keyed = self.submission.with_key(key)
        content = self.content if self.has_unlisted_file else keyed
        return evolve(self, submission=keyed, content=content)


class RowKeys:
    """Derives the submission keys of the rows of one table. Equal rows get different keys."""

    def __init__(self) -> None:
        self._keys = SubmissionKeys()

    def ensure_key(self, row: SubmissionRow) -> SubmissionRow:
        """Return the row itself or, if it has no submission key, a copy with a derived one."""
        if row.kind == "own":
            return row
        return row.with_key(self._keys.number(digest_of(row.content, track_id=row.track_id)))


def has_files(submission: Submission) -> bool:
    """Whether a parameter is a file, or a list with a file."""
    return any(map(_has_file, submission.parameters.values()))


def content_of(submission: Submission, cells: Mapping[str, Any]) -> Submission:
    """
    Return the submission as it would be without the files of parameters that are not listed.

    Args:
        submission: The submission of a row.
        cells: The row, keyed by the names of parameters.
    """
    listed = ENDPOINTS[submission.endpoint].parameters
    unlisted = {name: cell for name, cell in cells.items() if name not in listed}
    return _replace_files(submission, unlisted, parse_plain)


def with_files_of(submission: Submission, cells: Mapping[str, Any]) -> Submission:
    """Return the submission with the files that another row names, keyed by parameters."""
    return _replace_files(submission, cells, lambda text: text if is_link(text) else Path(text))


def _replace_files(
    submission: Submission, cells: Mapping[str, Any], convert: Callable[[str], Any]
) -> Submission:
    replaced = {
        name: _convert(cells[name], convert)
        for name, value in submission.parameters.items()
        if name in cells and _has_file(value)
    }
    if not replaced:
        return submission
    return evolve(submission, parameters={**submission.parameters, **replaced})


def _has_file(value: object) -> bool:
    return any(isinstance(each, Path) for each in (value if isinstance(value, list) else [value]))


def _convert(cell: Any, convert: Callable[[str], Any]) -> Any:
    if isinstance(cell, list):
        return [_convert(item, convert) for item in cell]
    return convert(cell) if isinstance(cell, str) else cell
