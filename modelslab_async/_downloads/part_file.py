"""Part: a file on its way, under a name that says so, until it is whole. Blocks: use in threads."""

import hashlib
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Self

from attrs import asdict, evolve, frozen

from .._aio.durable_files import fsync_folder, make_folder
from .file_locks import try_lock
from .filenames import numbered_stem
from .publish import is_same, link_or_move

_CHUNK_BYTES = 1 << 20
# No link of somebody else is followed; the rest is what `open` itself would do.
_OPEN_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_IS_WINDOWS = os.name == "nt"


@frozen
class PartMetadata:
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
class PublishedFile:
    """A file that a part has become: where it is, where it came from, and what tells its bytes."""

    path: Path
    url: str
    size: int
    sha256: str


class PartFile:
    """
    The bytes that have come so far, at `<stem>.part`, with their mark beside them.

    One program at a time writes a part, and knows it by a lock; another takes the next name.

    It stays beside the file that it has become until it is dropped. So whoever dies before that
    file is on record leaves something that tells the next one that it is whole.

    Attributes:
        size: How many bytes there are.
        metadata: Which version they belong to, if they can be gone on with.
        published: The file that the part was moved to, where there are no hard links, by a run that
            was ended before it dropped the part.
    """

    size: int
    metadata: PartMetadata | None
    published: PublishedFile | None

    def __init__(self, folder: Path, stem: str, path: Path, file: FileIO) -> None:
        self._folder = folder
        self.stem = stem
        self._attach(path, file)

    def _attach(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file
        self._metadata_path = _metadata_path_of(path)
        self._was_moved = False
        # Bytes that have another name, such as that of the finished file, are not written.
        self._has_other_links = os.fstat(file.fileno()).st_nlink > 1
        self.size = file.seek(0, os.SEEK_END)
        metadata = _read_metadata(self._metadata_path)
        self.published = None if self.size or metadata is None else self._find_published(metadata)
        self.metadata = metadata if self.size or self.published else None

    @classmethod
    def open(cls, folder: Path, stem: str) -> Self:
        """
        Take up the part of this name where an earlier run left it, or begin it.

        Raises:
            OSError: The folder or the file cannot be made.
        """
        make_folder(folder)
        part = cls(folder, stem, *_open_free(folder, stem))
        if part._has_other_links and not part._is_intact():
            part._start_new_part()
        return part

    @classmethod
    def remove_stale(cls, folder: Path, stem: str) -> None:
        """Remove what lies under this name, but for what somebody is writing."""
        for path in {_part_path_of(path) for path in part_paths(folder, stem)}:
            if file := _open_locked(path):
                cls(folder, stem, path, file).delete()

    @property
    def is_complete(self) -> bool:
        """Whether all bytes that the server announced are here."""
        return self.size > 0 and self.metadata is not None and self.metadata.size == self.size

    def restart(self, metadata: PartMetadata | None) -> None:
        """Forget what came, and begin with this version."""
        if self._has_other_links:
            self._start_new_part()
        # In this order, so that no moment leaves bytes beside the mark of other ones.
        self._metadata_path.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.seek(0)
        self.size, self.metadata = 0, metadata
        if metadata is not None:
            _write_metadata(self._metadata_path, metadata)

    def append(self, data: bytes) -> None:
        """Write what came next. Where the disk takes but a part of it, that part counts."""
        self._file.seek(self.size)
        remaining = memoryview(data)
        while remaining:
            written = self._file.write(remaining)
            self.size += written
            remaining = remaining[written:]

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from this place on, piece by piece."""
        self._file.seek(start)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def head(self, length: int) -> bytes:
        """The first bytes."""
        self._file.seek(0)
        return self._file.read(length)

    def digest(self) -> str:
        """The checksum of all bytes, as the disk gives them back."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def publish(self, suffix: str, url: str = "") -> PublishedFile:
        """
        Give the whole file its name, or find that the same file has it. Drop the part after that.

        Raises:
            OSError: The disk would not.
        """
        digest = self.digest()
        os.fsync(self._file.fileno())
        self.metadata = evolve(
            self.metadata or PartMetadata(url, "", None), size=self.size, sha256=digest
        )
        _write_metadata(self._metadata_path, self.metadata)
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be renamed there.
            self._file.close()
        number = 1
        while not self._publish_as(
            path := self._folder / f"{numbered_stem(self.stem, number)}.{suffix}", digest
        ):
            number += 1
        fsync_folder(self._folder)
        return PublishedFile(path, url, self.size, digest)

    def close(self) -> None:
        """Close it, and let it lie where it can be gone on with."""
        if self.metadata is not None and (self.size or self.published):
            self._file.close()
        elif not self._file.closed:
            self.delete()

    def delete(self) -> None:
        """Close it and leave nothing behind."""
        if _IS_WINDOWS:  # pragma: no cover -- an open file cannot be removed there.
            self._file.close()
        # Where the part has moved, whatever has its name now is another's, and so is the note.
        if not (self._was_moved and self._path.exists()):
            self._metadata_path.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        # Closed last, since closing ends the lock.
        self._file.close()

    def _is_intact(self) -> bool:
        metadata = self.metadata
        return (
            self.is_complete and metadata is not None and metadata.sha256 in (None, self.digest())
        )

    def _start_new_part(self) -> None:
        """Leave the bytes to the name that they have as well, and begin a part of its own."""
        self.delete()
        self._attach(*_open_free(self._folder, self.stem))

    def _publish_as(self, path: Path, digest: str) -> bool:
        if link_or_move(self._path, path):
            self._was_moved = not self._path.exists()
            return True
        return is_same(path, self.size, digest)

    def _find_published(self, metadata: PartMetadata) -> PublishedFile | None:
        """The file that a mark speaks of, if it is there as it was."""
        if metadata.size is None or metadata.sha256 is None:
            return None
        for path in sorted(self._folder.glob(f"{self.stem}.*")):
            if is_same(path, metadata.size, metadata.sha256):
                return PublishedFile(path, metadata.url, metadata.size, metadata.sha256)
        return None


def part_paths(folder: Path, stem: str = "*") -> list[Path]:
    """The parts in a folder, or those of one name, and their notes."""
    patterns = (f"{stem}.part", f"{stem}.*.part", f"{stem}.part.json", f"{stem}.*.part.json")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _open_free(folder: Path, stem: str) -> tuple[Path, FileIO]:
    """The first part of this name that nobody is writing, made if it is not there."""
    number = 1
    while (file := _open_locked(path := folder / f"{numbered_stem(stem, number)}.part")) is None:
        number += 1
    return path, file


def _metadata_path_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _part_path_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json"))


def _open_locked(path: Path) -> FileIO | None:
    """The file, open and ours; None: somebody else is writing it."""
    while True:
        # Without a buffer: bytes that a full disk refused must not wait in one.
        file = FileIO(os.open(path, _OPEN_FLAGS, 0o666), "r+b")
        if not try_lock(file.fileno()):
            file.close()
            return None
        if _is_same_file(path, os.fstat(file.fileno())):
            return file
        # Whoever had the lock before has moved the file away.
        file.close()


def _is_same_file(path: Path, state: os.stat_result) -> bool:
    try:
        current = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(current, state)


def _write_metadata(metadata_path: Path, metadata: PartMetadata) -> None:
    """Write it over what was there, at once: a run may be ended at any moment."""
    text = json.dumps(asdict(metadata)).encode()
    with FileIO(os.open(metadata_path, _OPEN_FLAGS, 0o666), "r+b") as file:
        file.write(text)
        file.truncate(len(text))


def _read_metadata(metadata_path: Path) -> PartMetadata | None:
    try:
        match json.loads(metadata_path.read_bytes()):
            case {
                "url": str(url),
                "validator": str(validator),
                "size": int() | None as size,
                "sha256": str() | None as digest,
            }:
                return PartMetadata(url, validator, size, digest)
    except (OSError, ValueError):
        pass
    return None
