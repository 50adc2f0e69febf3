"""PartFile: the `.part` file of an output that is not complete yet. Blocking I/O."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

from attrs import evolve, frozen

from .._aio.durable_files import IS_WINDOWS, fsync_folder, make_folder
from .._models.download_errors import FileNotWritten
from .file_locks import open_locked
from .file_stems import numbered_stem
from .part_metadata import PartMetadata, metadata_path_of, read_metadata, write_metadata
from .publish import is_published, link_or_move

PART_SUFFIX = ".part"
_CHUNK_BYTES = 1 << 20


@frozen
class PublishedFile:
    """A complete file that has its final name."""

    path: Path
    url: str
    size: int
    sha256: str
    is_length_known: bool


class PartFile:
    """
    Keeps the bytes received so far in `<stem>.part`, and metadata about them in `<stem>.part.json`.

    A lock lets only one process write a part at a time. A second process uses `<stem>.2.part`.

    `publish` gives the complete file its final name by a hard link, or else moves the part. The
    caller calls `delete` after it has recorded the file.

    Attributes:
        size: The number of bytes in the part.
        metadata: The link, version and size of the file that the bytes belong to. None if they are
            not known.
        published: A complete file that an earlier run published but did not record, or None.
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
        try:
            self._read_state(path, file)
        except BaseException:
            file.close()
            raise

    def _read_state(self, path: Path, file: FileIO) -> None:
        self._metadata_path = metadata_path_of(path)
        self._was_moved = False
        self.size = file.seek(0, os.SEEK_END)
        # A part with another hard link must not be changed, because that link is a complete file.
        # The link count of an empty part is ignored: no complete file is empty, and some file
        # systems count two links for a new file.
        self._has_other_links = self.size > 0 and os.fstat(file.fileno()).st_nlink > 1
        metadata = read_metadata(self._metadata_path)
        if metadata and metadata.size is not None and metadata.size < self.size:
            metadata = None
        self.published = None if self.size or metadata is None else self._find_published(metadata)
        self.metadata = metadata if self.size or self.published else None

    @classmethod
    def open(cls, folder: Path, stem: str) -> Self:
        """
        Open the part that an earlier run left, or create one.

        Raises:
            OSError: The folder or the file cannot be created.
        """
        make_folder(folder)
        part = cls(folder, stem, *_open_free(folder, stem))
        part._leave_damaged()
        return part

    def reopen(self) -> None:
        """
        Open this part again after `close`, or another part if another process uses this one.

        Raises:
            OSError: The file cannot be opened or created.
        """
        metadata, file = self.metadata, open_locked(self._path)
        if file is None:
            self._attach(*_open_free(self._folder, self.stem))
        else:
            self._attach(self._path, file)
        self._leave_damaged()
        if not self.size and self.published is None:
            # The part is empty now. Keep the metadata, because the next response must not
            # contradict the earlier ones.
            self.metadata = metadata

    @property
    def is_complete(self) -> bool:
        """Whether the part has all bytes of the file. False while the file's size is unknown."""
        return self.size > 0 and self.metadata is not None and self.metadata.size == self.size

    @property
    def is_length_known(self) -> bool:
        """
        Whether the size of the whole file is certain.

        It is certain if a response announced it, or if a reply contained the file itself.
        """
        metadata = self.metadata
        return metadata is None or (metadata.size is not None and metadata.is_length_known)

    def restart(self, metadata: PartMetadata | None) -> None:
        """Remove all bytes, so that the part can take the bytes of another version of the file."""
        while self._has_other_links:
            self._start_new_part()
        # Remove the metadata before the bytes, so that the metadata on disk never describe bytes of
        # another version.
        self._metadata_path.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.seek(0)
        self.size, self.metadata = 0, None
        if metadata is not None:
            self._set_metadata(metadata)

    def set_total(self, size: int) -> None:
        """Store the size of the whole file, unless an earlier response announced it."""
        if self.metadata is not None and self.metadata.size is None:
            self._set_metadata(evolve(self.metadata, size=size))

    def append(self, data: bytes) -> None:
        """Write the next bytes. If the disk fills up, `size` still counts the bytes written."""
        self._file.seek(self.size)
        remaining = memoryview(data)
        while remaining:
            written = self._file.write(remaining)
            self.size += written
            remaining = remaining[written:]

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the part's bytes from an offset to the end, in chunks."""
        self._file.seek(start)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def head(self, length: int) -> bytes:
        """Return the first `length` bytes of the part."""
        self._file.seek(0)
        return self._file.read(length)

    def digest(self) -> str:
        """Read all bytes back from the disk, and return their SHA-256."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def publish(self, suffix: str, url: str = "", *, is_length_known: bool = True) -> PublishedFile:
        """
        Give the complete file its final name, or find an existing file with the same bytes.

        The caller must call `delete` after it has recorded the file.

        Raises:
            OSError: The file cannot be written or renamed, for example because the disk is full.
            FileNotWritten: A file that has its final name already cannot be read.
        """
        digest = self.digest()
        os.fsync(self._file.fileno())
        self._set_metadata(
            evolve(
                self.metadata or PartMetadata(url, "", None),
                size=self.size,
                sha256=digest,
                is_length_known=is_length_known,
            )
        )
        if IS_WINDOWS:  # pragma: no cover -- Windows cannot rename an open file.
            self._file.close()
        number = 1
        while not self._publish_as(
            path := self._folder / f"{numbered_stem(self.stem, number)}.{suffix}", digest
        ):
            number += 1
        fsync_folder(self._folder)
        return PublishedFile(path, url, self.size, digest, is_length_known)

    def close(self) -> None:
        """Close the part. Keep it on disk only if a later run can continue it."""
        is_reusable = self.metadata is not None and self.metadata.is_reusable
        if is_reusable and (self.size or self.published):
            self._file.close()
        elif not self._file.closed:
            self.delete()

    def delete(self) -> None:
        """Close the part and remove it from the disk."""
        if IS_WINDOWS:  # pragma: no cover -- Windows cannot remove an open file.
            self._file.close()
        # If `publish` has moved this part, a file at the old path belongs to another process.
        try:
            if not (self._was_moved and self._path.exists()):
                self._metadata_path.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        finally:
            # Close the file last, because that releases the lock.
            self._file.close()

    def _set_metadata(self, metadata: PartMetadata) -> None:
        self.metadata = metadata
        if metadata.is_reusable:
            write_metadata(self._metadata_path, metadata)

    def _leave_damaged(self) -> None:
        """
        Start a new part if this one has other hard links and is not intact. Check the new one too.

        After an error, close the part here, because the caller gets no part to close.
        """
        try:
            while self._has_other_links and not self._is_intact():
                self._start_new_part()
        except BaseException:
            self._file.close()
            raise

    def _is_intact(self) -> bool:
        metadata = self.metadata
        return (
            self.is_complete and metadata is not None and metadata.sha256 in (None, self.digest())
        )

    def _start_new_part(self) -> None:
        """
        Delete this part and open the first unlocked part file, which is usually new and empty.

        Other hard links to the deleted part keep its bytes. The opened part may have other hard
        links too, if another process has just unlocked it.
        """
        self.delete()
        self._attach(*_open_free(self._folder, self.stem))

    def _publish_as(self, path: Path, digest: str) -> bool:
        if link_or_move(self._path, path):
            self._was_moved = not self._path.exists()
            return True
        return is_published(path, self.size, digest)

    def _find_published(self, metadata: PartMetadata) -> PublishedFile | None:
        """Return the published file that has the size and checksum in `metadata`, or None."""
        size, digest = metadata.size, metadata.sha256
        if size is None or digest is None:
            return None
        for path in sorted(self._folder.glob(f"{self.stem}.*")):
            # Skip part files, because a part of another process may have the same bytes. Also skip
            # files that cannot be read, which may not be ours.
            with suppress(FileNotWritten):
                if PART_SUFFIX not in path.suffixes and is_published(path, size, digest):
                    return PublishedFile(path, metadata.url, size, digest, metadata.is_length_known)
        return None


def _open_free(folder: Path, stem: str) -> tuple[Path, FileIO]:
    """Open and lock the first unlocked file among `<stem>.part`, `<stem>.2.part` and so on."""
    number = 1
    while (file := open_locked(path := part_path(folder, stem, number))) is None:
        number += 1
    return path, file


def part_path(folder: Path, stem: str, number: int) -> Path:
    """Return the path of a part file of an output: `<stem>.part`, `<stem>.2.part` and so on."""
    return folder / f"{numbered_stem(stem, number)}{PART_SUFFIX}"
