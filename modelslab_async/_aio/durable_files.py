"""Writes files and folders that survive a power cut. All functions block: call them in threads."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

IS_WINDOWS = os.name == "nt"


def fsync_folder(folder: Path) -> None:
    """Fsync a folder, so that its file names are on disk. Skip a folder that cannot be opened."""
    if IS_WINDOWS:  # pragma: no cover -- Windows opens no folders.
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
    """Make a folder and its missing parents, and write their names to disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        fsync_folder(each.parent)


@contextmanager
def atomic_replace(path: Path) -> Generator[Path, None, None]:
    """
    Yield the path of a draft. If the `with` block succeeds, replace `path` with the draft.

    A reader sees the whole old file or the whole new one.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with replace_by_draft(path, draft):
        yield draft


@contextmanager
def replace_by_draft(path: Path, draft: Path) -> Generator[None, None, None]:
    """
    If the `with` block succeeds, replace `path` with `draft`, which the block has written.

    Both files must be in the same folder.
    """
    try:
        yield
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
        fsync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
