"""Part: a file on its way, under a name that says so, until it is whole. Blocks: use in threads."""

import hashlib
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Self

from attrs import asdict, evolve, frozen

from .._aio.durable_files import make_folder, sync
from .file_locks import try_lock
from .filenames import numbered
from .publish import is_same, name

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
        validator: The ETag, or else the date, that the server gave this version; "" for none.
        size: How long the whole file is, if that is known.
        sha256: Its checksum, once all of it has come and was checked.
    """

    url: str
    validator: str
    size: int | None
    sha256: str | None = None


@frozen
class Finished:
    """A file that a part has become: where it is, where it came from, and what tells its bytes."""

    path: Path
    url: str
    size: int
    sha256: str


class Part:
    """
    The bytes that have come so far, at `<stem>.part`, with their mark beside them.

    One program at a time writes a part, and knows it by a lock; another takes the next name.

    It stays beside the file that it has become until it is dropped. So whoever dies before that
    file is on record leaves something that tells the next one that it is whole.

    Attributes:
        size: How many bytes there are.
        mark: Which version they belong to, if they can be gone on with.
        became: The file that the part was moved to, where there are no hard links, by a run that
            was ended before it dropped the part.
    """

    size: int
    mark: Mark | None
    became: Finished | None

    def __init__(self, folder: Path, stem: str, path: Path, file: FileIO) -> None:
        self._folder = folder
        self.stem = stem
        self._take(path, file)

    def _take(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file
        self._note = _note_of(path)
        self._moved = False
        # Bytes that have another name, such as that of the finished file, are not written.
        self._shared = os.fstat(file.fileno()).st_nlink > 1
        self.size = file.seek(0, os.SEEK_END)
        mark = _read_mark(self._note)
        self.became = None if self.size or mark is None else self._found(mark)
        self.mark = mark if self.size or self.became else None

    @classmethod
    def open(cls, folder: Path, stem: str) -> Self:
        """
        Take up the part of this name where an earlier run left it, or begin it.

        Raises:
            OSError: The folder or the file cannot be made.
        """
        make_folder(folder)
        part = cls(folder, stem, *_free(folder, stem))
        if part._shared and not part._is_intact():
            part._begin_beside()
        return part

    @classmethod
    def sweep(cls, folder: Path, stem: str) -> None:
        """Remove what lies under this name, but for what somebody is writing."""
        for path in {_part_of(path) for path in left_in(folder, stem)}:
            if file := _locked(path):
                cls(folder, stem, path, file).drop()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes that the server announced are here."""
        return self.size > 0 and self.mark is not None and self.mark.size == self.size

    def restart(self, mark: Mark | None) -> None:
        """Forget what came, and begin with this version."""
        if self._shared:
            self._begin_beside()
        # In this order, so that no moment leaves bytes beside the mark of other ones.
        self._note.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.seek(0)
        self.size, self.mark = 0, mark
        if mark is not None:
            _write_mark(self._note, mark)

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

    def publish(self, suffix: str, url: str = "") -> Finished:
        """
        Give the whole file its name, or find that the same file has it. Drop the part after that.

        Raises:
            OSError: The disk would not.
        """
        digest = self.digest()
        os.fsync(self._file.fileno())
        self.mark = evolve(self.mark or Mark(url, "", None), size=self.size, sha256=digest)
        _write_mark(self._note, self.mark)
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be renamed there.
            self._file.close()
        number = 1
        while not self._has_become(
            path := self._folder / f"{numbered(self.stem, number)}.{suffix}", digest
        ):
            number += 1
        sync(self._folder)
        return Finished(path, url, self.size, digest)

    def leave(self) -> None:
        """Close it, and let it lie where it can be gone on with."""
        if self.mark is not None and (self.size or self.became):
            self._file.close()
        elif not self._file.closed:
            self.drop()

    def drop(self) -> None:
        """Close it and leave nothing behind."""
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be removed there.
            self._file.close()
        # Where the part has moved, whatever has its name now is another's, and so is the note.
        if not (self._moved and self._path.exists()):
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        # Closed last, since closing ends the lock.
        self._file.close()

    def _is_intact(self) -> bool:
        mark = self.mark
        return self.is_whole and mark is not None and mark.sha256 in (None, self.digest())

    def _begin_beside(self) -> None:
        """Leave the bytes to the name that they have as well, and begin a part of its own."""
        self.drop()
        self._take(*_free(self._folder, self.stem))

    def _has_become(self, path: Path, digest: str) -> bool:
        if name(self._path, path):
            self._moved = not self._path.exists()
            return True
        return is_same(path, self.size, digest)

    def _found(self, mark: Mark) -> Finished | None:
        """The file that a mark speaks of, if it is there as it was."""
        if mark.size is None or mark.sha256 is None:
            return None
        for path in sorted(self._folder.glob(f"{self.stem}.*")):
            if is_same(path, mark.size, mark.sha256):
                return Finished(path, mark.url, mark.size, mark.sha256)
        return None


def left_in(folder: Path, stem: str = "*") -> list[Path]:
    """The parts in a folder, or those of one name, and their notes."""
    patterns = (f"{stem}.part", f"{stem}.*.part", f"{stem}.part.json", f"{stem}.*.part.json")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _free(folder: Path, stem: str) -> tuple[Path, FileIO]:
    """The first part of this name that nobody is writing, made if it is not there."""
    number = 1
    while (file := _locked(path := folder / f"{numbered(stem, number)}.part")) is None:
        number += 1
    return path, file


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _part_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json"))


def _locked(path: Path) -> FileIO | None:
    """The file, open and ours; None: somebody else is writing it."""
    while True:
        # Without a buffer: bytes that a full disk refused must not wait in one.
        file = FileIO(os.open(path, _FLAGS, 0o666), "r+b")
        if not try_lock(file.fileno()):
            file.close()
            return None
        if _is_at(path, os.fstat(file.fileno())):
            return file
        # Whoever had the lock before has moved the file away.
        file.close()


def _is_at(path: Path, state: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(now, state)


def _write_mark(note: Path, mark: Mark) -> None:
    """Write it over what was there, at once: a run may be ended at any moment."""
    text = json.dumps(asdict(mark)).encode()
    with FileIO(os.open(note, _FLAGS, 0o666), "r+b") as file:
        file.write(text)
        file.truncate(len(text))


def _read_mark(note: Path) -> Mark | None:
    try:
        match json.loads(note.read_bytes()):
            case {
                "url": str(url),
                "validator": str(validator),
                "size": int() | None as size,
                "sha256": str() | None as digest,
            }:
                return Mark(url, validator, size, digest)
    except (OSError, ValueError):
        pass
    return None
