"""Sweeping: parts that nobody will go on with, since their files are saved. Blocks."""

from pathlib import Path

from .part_file import Part, left_in


def begun(folder: Path) -> set[str]:
    """The names, without their endings, of the parts in a folder."""
    return {path.name.partition(".")[0] for path in left_in(folder)}


def sweep(folder: Path, stem: str) -> None:
    """Remove the parts of this name, but for those that somebody is writing."""
    Part.sweep(folder, stem)
