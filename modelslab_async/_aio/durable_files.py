"""Writes files and folders that survive a power cut. All functions block: call them in threads."""

import os
import re
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

IS_WINDOWS = os.name == "nt"
_TOKEN_BYTES: Final = 8
# A process may still be writing a younger draft.
MAX_DRAFT_AGE_S: Final = 86_400.0


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

    A reader sees the whole old file or the whole new one. If several writers replace the same file
    at once, the last one to end wins.
    """
    path = path.absolute()
    # The name is random, because two tasks of one process may write the same file at once. Two
    # hosts or two containers may even use the same process id.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.draft")
    try:
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(path)
        fsync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def remove_old_drafts(path: Path) -> None:
    """Remove the drafts of `path` that killed processes left behind more than a day ago."""
    draft = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\.draft")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if draft.fullmatch(entry.name):
                remove_if_old(entry, MAX_DRAFT_AGE_S)


def remove_if_old(entry: os.DirEntry[str], age_s: float) -> None:
    """Remove a file if it has not changed for `age_s` seconds. Leave it if that fails."""
    with suppress(OSError):
        if time.time() - entry.stat().st_mtime > age_s:
            Path(entry.path).unlink()
