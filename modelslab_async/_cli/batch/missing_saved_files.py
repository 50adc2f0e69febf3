"""Checks by name and size whether saved files are still there. Opens no file."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define

from ... import Batch
from ...journal import RecordedFile
from .. import output

_FILES_PER_CHECK = 1000


@define
class MissingFiles:
    """
    Counts the recorded files that are not in the folder of this run.

    Attributes:
        folder: The folder of this run.
        missing: The number of files that are neither in `folder` nor in the folder where they were
            saved.
        in_other_folder: The number of files that are missing in `folder`, but still in the folder
            where they were saved.
        other_folder: The folder of the last file counted in `in_other_folder`.
    """

    folder: Path
    missing: int = 0
    in_other_folder: int = 0
    other_folder: Path | None = None

    @property
    def count(self) -> int:
        """The number of recorded files that are not in this run's folder."""
        return self.missing + self.in_other_folder

    def check(self, records: Iterable[RecordedFile]) -> None:
        """Count the files that these records name, but that are not in this run's folder."""
        for record in records:
            path = Path(record.path)
            if _exists_with_size(self.folder / path.name, record.size):
                continue
            if _exists_with_size(path, record.size):
                self.in_other_folder += 1
                self.other_folder = path.parent
            else:
                self.missing += 1

    def messages(self) -> Iterator[str]:
        """Yield lines that say how many files are missing, and what the user can do."""
        if self.missing:
            yield (
                output.count_of(self.missing, "file that was saved is", "files that were saved are")
                + " gone or changed; `batch verify --repair` has the next run with --out save "
                f"{'it' if self.missing == 1 else 'them'} again"
            )
        if self.in_other_folder:
            files = output.count_of(
                self.in_other_folder, "file that was saved is", "files that were saved are"
            )
            yield (
                f"{files} not in {self.folder} but in {self.other_folder}; "
                f"move {'it' if self.in_other_folder == 1 else 'them'}, "
                "or give that folder to --out"
            )


async def find_missing_files(folder: Path, batch: Batch) -> MissingFiles:
    """Count the files that a batch's journal has recorded, but that are not in `folder`."""
    missing_files = MissingFiles(folder)
    chunk: list[RecordedFile] = []
    async for record in batch.journal.all_files():
        chunk.append(record)
        if len(chunk) == _FILES_PER_CHECK:
            await asyncio.to_thread(missing_files.check, chunk)
            chunk = []
    await asyncio.to_thread(missing_files.check, chunk)
    return missing_files


def _exists_with_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
