"""Part: a file on its way, under a name that says so, until it is whole. Blocks: use in threads."""

import hashlib
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Self

from attrs import asdict, frozen

from .locks import try_lock
from .names import numbered

_PIECE = 1 << 20
# No link of somebody else is followed; the rest is what `open` itself would do.
_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_IS_WINDOWS = os.name == "nt"


@frozen
class Mark:
    """
    Which version of which file a part belongs to, so that no two are ever joined.

    Args:
        url: The link, without its query.
        validator: The ETag, or else the date, that the server gave this version.
        size: How long the whole file is, if the server said so.
    """

    url: str
    validator: str
    size: int | None


class Part:
    """
    The bytes that have come so far, at `<stem>.part`, with their mark beside them.

    One program at a time writes a part, and knows it by a lock; another takes the next name.
    """

    def __init__(self, folder: Path, stem: str, path: Path, file: FileIO) -> None:
        self._folder = folder
        self.stem = stem
        self._path = path
        self._file = file
        self._note = path.with_name(f"{path.name}.json")
        self.size = file.seek(0, os.SEEK_END)
        self.mark = _read_mark(self._note) if self.size else None

    @classmethod
    def open(cls, folder: Path, stem: str) -> Self:
        """
        Take up the part of this name where an earlier run left it, or begin it.

        Raises:
            OSError: The folder or the file cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (file := _locked(path := folder / f"{numbered(stem, number)}.part")) is None:
            number += 1
        return cls(folder, stem, path, file)

    @classmethod
    def sweep(cls, folder: Path, stem: str) -> None:
        """Remove what lies under this name, but for what somebody is writing."""
        for path in (*folder.glob(f"{stem}.part"), *folder.glob(f"{stem}.*.part")):
            if file := _locked(path):
                cls(folder, stem, path, file).drop()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes that the server announced are here."""
        return self.mark is not None and self.mark.size == self.size

    def restart(self, mark: Mark | None) -> None:
        """Forget what came, and begin with this version."""
        # In this order, so that no moment leaves bytes beside the mark of other ones.
        self._note.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.seek(0)
        self.size, self.mark = 0, mark
        if mark is not None:
            self._note.write_text(json.dumps(asdict(mark)))

    def append(self, data: bytes) -> None:
        """Write what came next. Where the disk takes but a part of it, that part counts."""
        self._file.seek(self.size)
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            self.size += written
            rest = rest[written:]

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from this place on, piece by piece."""
        self._file.seek(start)
        while piece := self._file.read(_PIECE):
            yield piece

    def head(self, length: int) -> bytes:
        """The first bytes."""
        self._file.seek(0)
        return self._file.read(length)

    def digest(self) -> str:
        """The checksum of all bytes, as the disk gives them back."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def publish(self, suffix: str, digest: str) -> Path:
        """
        Give the whole file its name, or find that the same file has it; the part is gone then.

        Raises:
            OSError: The disk would not.
        """
        os.fsync(self._file.fileno())
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be renamed there.
            self._file.close()
        number = 1
        while not self._has_become(
            path := self._folder / f"{numbered(self.stem, number)}.{suffix}", digest
        ):
            number += 1
        self.drop()
        _sync(self._folder)
        return path

    def leave(self) -> None:
        """Close it, and let it lie where it can be gone on with."""
        if self.size and self.mark is not None:
            self._file.close()
        elif not self._file.closed:
            self.drop()

    def _has_become(self, path: Path, digest: str) -> bool:
        return _named(self._path, path) or _is_same(path, self.size, digest)

    def drop(self) -> None:
        """Close it and leave nothing behind."""
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be renamed there.
            self._file.close()
        self._note.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        # Closed last, since closing ends the lock.
        self._file.close()


def _locked(path: Path) -> FileIO | None:
    """The file, open and ours; None: somebody else is writing it."""
    while True:
        # Without a buffer: bytes that a full disk refused must not wait in one.
        file = FileIO(os.open(path, _FLAGS, 0o666), "r+b")
        state = os.fstat(file.fileno())
        # Two names: a run was ended just between naming the whole file and dropping the part.
        if state.st_nlink > 1:
            file.close()
            path.unlink(missing_ok=True)
            continue
        if not try_lock(file.fileno()):
            file.close()
            return None
        if _is_at(path, state):
            return file
        # Whoever had the lock before has moved the file away.
        file.close()


def _is_at(path: Path, state: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(now, state)


def _named(part: Path, path: Path) -> bool:
    """Give a file its name unless that is taken. Never is there half a file, or another's."""
    try:
        if _IS_WINDOWS:  # pragma: no cover -- renaming respects a taken name there.
            part.rename(path)
        else:
            path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        return _reserved(part, path)
    return True


def _reserved(part: Path, path: Path) -> bool:
    """The same where a file system has no hard links: the name is taken first, then filled."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        part.replace(path)
    except OSError:
        path.unlink()
        raise
    return True


def _is_same(path: Path, size: int, digest: str) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return digest == hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Make the new name outlast a power cut, where a folder can be told so."""
    if _IS_WINDOWS:  # pragma: no cover -- a folder cannot be opened there.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_mark(note: Path) -> Mark | None:
    try:
        match json.loads(note.read_bytes()):
            case {"url": str(url), "validator": str(validator), "size": int() | None as size}:
                return Mark(url, validator, size)
    except (OSError, ValueError):
        pass
    return None
