"""DiskFolder: opens part files, and removes those that are no longer needed. Blocking I/O."""

from contextlib import suppress
from pathlib import Path

from attrs import frozen

from .file_locks import open_locked
from .part_file import PART_SUFFIX, PartFile, part_path
from .part_metadata import METADATA_SUFFIX, metadata_path_of
from .part_protocol import Part


@frozen
class DiskFolder:
    """The folder on disk in which the files are saved. It is created if it does not exist."""

    path: Path

    def open(self, stem: str) -> PartFile:
        """Open or create the part file of the output with this stem. See `PartFile.open`."""
        return PartFile.open(self.path, stem)

    def finish(self, part: Part) -> None:
        """
        Delete the part of an output that has been saved.

        Also delete further parts of it that were left by cut downloads, because no later download
        continues them. A part that another process writes is locked, and stays.
        """
        number = 2
        while _exists(path := part_path(self.path, part.stem, number)):
            _remove_unlocked(path, part.stem)
            number += 1
        part.delete()


def part_stems(folder: Path) -> set[str]:
    """Return the stems of all part files in a folder: `a` for `a.part` and `a.2.part`."""
    return {path.name.partition(".")[0] for path in _part_paths(folder)}


def remove_stale(folder: Path, stem: str) -> None:
    """Remove the part files of an output, but no file that another process has locked."""
    for path in _part_paths(folder, stem):
        _remove_unlocked(path, stem)


def _remove_unlocked(path: Path, stem: str) -> None:
    with suppress(OSError):
        if (file := open_locked(path)) is not None:
            PartFile(path.parent, stem, path, file).delete()


def _exists(path: Path) -> bool:
    """Whether a part exists, or only its metadata file still does."""
    return path.exists() or metadata_path_of(path).exists()


def _part_paths(folder: Path, stem: str = "*") -> set[Path]:
    """
    Return the paths of all part files in a folder.

    A path is included even if only the metadata file of the part still exists.
    """
    suffixes = (PART_SUFFIX, f"{PART_SUFFIX}{METADATA_SUFFIX}")
    return {
        path.with_name(path.name.removesuffix(METADATA_SUFFIX))
        for suffix in suffixes
        for pattern in (f"{stem}{suffix}", f"{stem}.*{suffix}")
        for path in folder.glob(pattern)
    }
