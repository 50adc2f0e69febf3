"""Removes `.part` files that are no longer needed. It keeps complete files. Blocking I/O."""

from contextlib import suppress
from pathlib import Path

from .file_locks import open_locked
from .part_file import PART_SUFFIX, PartFile
from .part_metadata import METADATA_SUFFIX


def part_stems(folder: Path) -> set[str]:
    """Return the stems of all part files in a folder: `a` for `a.part` and `a.2.part`."""
    return {path.name.partition(".")[0] for path in _part_paths(folder)}


def remove_stale(folder: Path, stem: str) -> None:
    """Remove the part files of an output, but no file that another process has locked."""
    for path in _part_paths(folder, stem):
        with suppress(OSError):
            if (file := open_locked(path)) is not None:
                PartFile(folder, stem, path, file).delete()


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
