"""Batch files: whether what was saved is still there, by names and sizes. It opens no file."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define

from ... import Batch
from ...journal import RecordedFile

_CHUNK = 1000


@define
class Absent:
    """
    Files on record that are not in the folder where they are wanted.

    Attributes:
        folder: The folder.
        missing: How many are not where they were saved either.
        elsewhere: How many are still where they were saved.
        where: One of the folders that those are in.
    """

    folder: Path
    missing: int = 0
    elsewhere: int = 0
    where: Path | None = None

    @property
    def files(self) -> int:
        """How many there are."""
        return self.missing + self.elsewhere

    def look(self, records: Iterable[RecordedFile]) -> None:
        """Look for some files."""
        for record in records:
            path = Path(record.path)
            if _is_there(self.folder / path.name, record.size):
                continue
            if _is_there(path, record.size):
                self.elsewhere += 1
                self.where = path.parent
            else:
                self.missing += 1

    def lines(self) -> Iterator[str]:
        """What to do about them."""
        if self.missing:
            yield (
                f"{self.missing:,} files that were saved are gone or changed; "
                "`batch verify --mend` has the next run with --out save them again"
            )
        if self.elsewhere:
            yield (
                f"{self.elsewhere:,} files that were saved are not in {self.folder} but in "
                f"{self.where}; move them, or give that folder to --out"
            )


async def absent_from(folder: Path, batch: Batch) -> Absent:
    """Look for every file on record in a folder."""
    absent = Absent(folder)
    some: list[RecordedFile] = []
    async for record in batch.journal.all_files():
        some.append(record)
        if len(some) == _CHUNK:
            await asyncio.to_thread(absent.look, some)
            some = []
    await asyncio.to_thread(absent.look, some)
    return absent


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
