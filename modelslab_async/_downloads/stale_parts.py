"""Sweeping: parts that nobody will go on with, since their files are saved. Blocks."""

from pathlib import Path

from .part_file import PartFile, part_paths


def part_stems(folder: Path) -> set[str]:
    """The names, without their endings, of the parts in a folder."""
    return {path.name.partition(".")[0] for path in part_paths(folder)}


def remove_stale(folder: Path, stem: str) -> None:
    """Remove the parts of this name, but for those that somebody is writing."""
    PartFile.remove_stale(folder, stem)
