"""Keeps the bytes of outputs in memory, in place of files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from attrs import Factory, define, evolve

from .part_file import PublishedFile
from .part_metadata import PartMetadata
from .part_protocol import Part

_CHUNK_BYTES = 1 << 20


@define(eq=False)
class MemoryPart:
    """
    The bytes received so far for one output, in memory. The class implements the protocol `Part`.

    Args:
        folder: The folder in memory that gets the bytes once they are complete.
        stem: The file name without its suffix.
    """

    folder: "MemoryFolder"
    stem: str
    metadata: PartMetadata | None = None
    published: PublishedFile | None = None
    _data: bytearray = Factory(bytearray)

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def is_complete(self) -> bool:
        return self.size > 0 and self.metadata is not None and self.metadata.size == self.size

    @property
    def is_length_known(self) -> bool:
        return self.metadata is None or self.metadata.size is not None

    def restart(self, metadata: PartMetadata | None) -> None:
        self._data.clear()
        self.metadata = metadata

    def set_total(self, size: int) -> None:
        if self.metadata is not None and self.metadata.size is None:
            self.metadata = evolve(self.metadata, size=size)

    def append(self, data: bytes) -> None:
        self._data += data

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        for offset in range(start, self.size, _CHUNK_BYTES):
            yield bytes(self._data[offset : offset + _CHUNK_BYTES])

    def head(self, length: int) -> bytes:
        return bytes(self._data[:length])

    def publish(self, suffix: str, url: str = "", *, is_length_known: bool = True) -> PublishedFile:
        path, data = Path(f"{self.stem}.{suffix}"), bytes(self._data)
        self.folder.files[path] = data
        digest = hashlib.sha256(data).hexdigest()
        return PublishedFile(path, url, len(data), digest, is_length_known)

    def delete(self) -> None:
        self._data.clear()

    def close(self) -> None:
        """Do nothing: the bytes stay for `reopen`."""

    def reopen(self) -> None:
        """Do nothing: the part still has its bytes."""


@define(eq=False)
class MemoryFolder:
    """
    A folder in memory that holds parts and complete files.

    Attributes:
        files: The bytes of each complete file, keyed by the file's name.
    """

    files: dict[Path, bytes] = Factory(dict)
    _parts: list[MemoryPart] = Factory(list)

    def open(self, stem: str) -> MemoryPart:
        """Return an empty part, for a file whose name without its suffix is `stem`."""
        part = MemoryPart(self, stem)
        self._parts.append(part)
        return part

    def finish(self, part: Part) -> None:
        """Remove the bytes of the part of an output that has been saved."""
        part.delete()

    def clear(self) -> None:
        """Remove all complete files, and the bytes of all parts."""
        self.files.clear()
        for part in self._parts:
            part.delete()
