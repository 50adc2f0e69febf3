"""Checks by name and size whether saved files still exist. Does not read their content."""

import asyncio
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import define, field

from ... import Batch
from ..._batch.verify_recorded_files import other_host
from ..._journal.host_name import HOST_NAME_VARIABLE
from ...journal import RecordedFile
from .. import output
from .journal_option import JournalLocation, journal_command

_FILES_PER_CHECK = 1000
# Files may be missing because other hosts saved them. A message names at most this many of them.
_MAX_HOSTS: Final = 5


@define
class MissingFiles:
    """
    Counts the recorded files that are not in the folder of this run.

    Attributes:
        folder: The folder in which this run saves files.
        journal: The journal, for the commands in messages.
        missing: The number of files that are gone or have another size, in `folder` and also where
            they were saved. Files in `on_other_hosts` are not counted.
        in_other_folder: The number of files that are not in `folder`, but still in the folder where
            they were saved.
        other_folder: The folder of the file that was most recently counted in `in_other_folder`.
        on_other_hosts: For each other host, how many of its files are missing on this host.
    """

    folder: Path
    journal: JournalLocation
    missing: int = 0
    in_other_folder: int = 0
    other_folder: Path | None = None
    on_other_hosts: Counter[str] = field(factory=Counter)

    @property
    def count(self) -> int:
        """How many files are not in this run's folder. Files on other hosts are not counted."""
        return self.missing + self.in_other_folder

    def check(self, records: Iterable[tuple[RecordedFile, str | None]]) -> None:
        """
        Count the recorded files that are not in this run's folder.

        Args:
            records: Each record, with the name of the other host that saved the file. The name is
                None if this host saved the file.
        """
        for record, host in records:
            path = Path(record.path)
            size = _size_of(self.folder / path.name)
            if size == record.size:
                continue
            size_where_saved = _size_of(path)
            if size_where_saved == record.size:
                self.in_other_folder += 1
                self.other_folder = path.parent
            elif host is not None and size is None and size_where_saved is None:
                self.on_other_hosts[host] += 1
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
        if self.on_other_hosts:
            yield other_hosts_message(self.on_other_hosts, self.journal)


def other_hosts_message(counts: Counter[str], journal: JournalLocation) -> str:
    """Return a line that says how many files other hosts saved, and what the user can do."""
    hosts = ", ".join(
        f"{output.sanitize(host)} ({count:,})" for host, count in counts.most_common(_MAX_HOSTS)
    )
    more = "" if len(counts) <= _MAX_HOSTS else f" and {len(counts) - _MAX_HOSTS:,} more"
    files = output.count_of(counts.total(), "file is", "files are")
    example = shlex.quote(output.sanitize(counts.most_common(1)[0][0]))
    repair = journal_command(journal, "verify", "--repair")
    return (
        f"{files} not here but on another host: {hosts}{more}; `batch verify` checks "
        f"{'it' if counts.total() == 1 else 'them'} there. If that host is gone, or is this one "
        f"under an earlier name, `{HOST_NAME_VARIABLE}={example} {repair}` has the next run with "
        "--out save its files here"
    )


async def find_missing_files(folder: Path, batch: Batch, journal: JournalLocation) -> MissingFiles:
    """Count the recorded files of a batch that are not in `folder`."""
    missing_files = MissingFiles(folder, journal)
    chunk: list[tuple[RecordedFile, str | None]] = []
    async for record in batch.journal.all_files():
        chunk.append((record, other_host(batch.journal, record)))
        if len(chunk) == _FILES_PER_CHECK:
            await asyncio.to_thread(missing_files.check, chunk)
            chunk = []
    await asyncio.to_thread(missing_files.check, chunk)
    return missing_files


def _size_of(path: Path) -> int | None:
    """Return the size of a file; None if it is missing or cannot be accessed."""
    try:
        return path.stat().st_size
    except OSError:
        return None
