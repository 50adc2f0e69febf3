"""Lasting: names of files and folders that outlast a power cut. Blocks: use in threads."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

IS_WINDOWS = os.name == "nt"


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder last, where it can be opened for that."""
    if IS_WINDOWS:  # pragma: no cover -- a folder cannot be opened there.
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, if it is not there."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        fsync_folder(each.parent)


@contextmanager
def atomic_replace(path: Path) -> Generator[Path, None, None]:
    """A draft beside a file, which takes its place when the block has ended well."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
        fsync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
