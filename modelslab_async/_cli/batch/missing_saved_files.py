"""Checks by name and size whether saved files are still there. It opens no file."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define

from ... import Batch
from ...journal import RecordedFile

_FILES_PER_CHECK = 1000


@define
class MissingFiles:
    """
    Recorded files that are not in the folder of this run.

    Attributes:
        folder: The folder of this run.
        missing: The number of files that are neither in the folder nor where they were saved.
        in_other_folder: The number of files that are not in the folder, but still exist where they
            were saved.
        other_folder: A folder that holds files counted in `in_other_folder`.
    """

    folder: Path
    missing: int = 0
    in_other_folder: int = 0
    other_folder: Path | None = None

    @property
    def count(self) -> int:
        """The number of recorded files that are not in the folder."""
        return self.missing + self.in_other_folder

    def check(self, records: Iterable[RecordedFile]) -> None:
        """Look for these files in the folder, and count those that are not there."""
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
        """Yield what the user can do about the missing files, one line each."""
        if self.missing:
            yield (
                f"{self.missing:,} files that were saved are gone or changed; "
                "`batch verify --repair` has the next run with --out save them again"
            )
        if self.in_other_folder:
            yield (
                f"{self.in_other_folder:,} files that were saved are not in {self.folder} but in "
                f"{self.other_folder}; move them, or give that folder to --out"
            )


async def find_missing_files(folder: Path, batch: Batch) -> MissingFiles:
    """Find the recorded files of a batch that are not in a folder."""
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
