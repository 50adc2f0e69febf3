"""Uploads: files among the parameters, which the service takes as links. It sends nothing."""

import base64
import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio.to_thread
from attrs import field, frozen

from .._downloads.content_sniffing import HEAD, binary_suffix_of
from .._models.errors import UnusableFile

# The service takes no longer file in this way.
LONGEST = 5_000_000
_PIECE = 1 << 16
# Less than this is worked on sooner than a thread is found for it.
_LITTLE = 1 << 18

T = TypeVar("T")


@frozen
class Upload:
    """
    A file that is to be sent, once there is a place for its request.

    What a path names is not held until then, but read again: whoever has many files in line needs
    no memory for them.

    Attributes:
        name: The parameter that it stands in.
        digest: What tells it from other files.
        source: Where it is, or its bytes.
    """

    name: str
    digest: str
    source: Path | bytes = field(repr=False)

    async def data_url(self) -> str:
        """
        The file as one text.

        Raises:
            UnusableFile: It cannot be read any more, or is another one by now.
        """
        return await _worked(self.name, self.source, self._data_url)

    def _data_url(self) -> str:
        data = self.source if isinstance(self.source, bytes) else _start_of(self.source)
        if _checked(self.name, data) != self.digest:
            raise _unusable(
                self.name, "has changed since the request was made; submit it again as it is now"
            )
        suffix = binary_suffix_of(data[:HEAD], ())
        kind = mimetypes.guess_type(f"a.{suffix}")[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def files_in(params: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The files among the parameters, each with the name of its own: paths, bytes, open files."""
    for name, value in params.items():
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if _is_file(each):
                yield name, each


async def with_uploads(params: Mapping[str, Any]) -> dict[str, Any]:
    """
    The parameters with an upload in the place of each file.

    Raises:
        UnusableFile: A file cannot be read, or is too long, empty, or a text.
    """
    return {name: await _each(value, partial(_upload, name)) for name, value in params.items()}


async def with_links(
    params: Mapping[str, Any], link: Callable[[Upload], Awaitable[str]]
) -> dict[str, Any]:
    """The parameters with a link in the place of each upload."""

    async def linked(value: Any) -> Any:
        return await link(value) if isinstance(value, Upload) else value

    return {name: await _each(value, linked) for name, value in params.items()}


async def _each(value: Any, change: Callable[[Any], Awaitable[Any]]) -> Any:
    if isinstance(value, (list, tuple)):
        return [await change(each) for each in value]
    return await change(value)


def _is_file(value: object) -> bool:
    kinds = (bytes, bytearray, memoryview, os.PathLike)
    return isinstance(value, kinds) or callable(getattr(value, "read", None))


async def _upload(name: str, value: Any) -> Any:
    if not _is_file(value):
        return value
    source: Path | bytes
    match value:
        case bytes() | bytearray() | memoryview():
            source = bytes(value)
        case os.PathLike():
            source = Path(value)
        case _:
            # It may stand elsewhere, or be closed, by the time there is a place.
            source = await _worked(name, value, partial(_read, name, value))
    return Upload(name, await _worked(name, source, partial(_checked, name, source)), source)


async def _worked(name: str, source: object, work: Callable[[], T]) -> T:
    """What a work on a file gives, which is done in a thread where it may take its time."""
    try:
        if isinstance(source, bytes) and len(source) < _LITTLE:
            return work()
        return await anyio.to_thread.run_sync(work)
    except UnusableFile:
        raise
    except Exception as error:
        why = f"cannot be read: {type(error).__name__}: {error}"
        raise _unusable(name, why) from error


def _read(name: str, file: BinaryIO) -> bytes:
    data: object = file.read(LONGEST + 1)
    if isinstance(data, bytes):
        return data
    raise _unusable(
        name, f"gives a {type(data).__name__} and no bytes when it is read; open it with mode 'rb'"
    )


def _checked(name: str, source: Path | bytes) -> str:
    """The digest of a file that is neither empty nor too long."""
    pieces = [source] if isinstance(source, bytes) else _pieces_of(source)
    length, digest = 0, hashlib.sha256()
    for piece in pieces:
        length += len(piece)
        digest.update(piece)
    if not length:
        raise _unusable(name, "is an empty file")
    if length > LONGEST:
        raise _unusable(
            name,
            f"is longer than the {LONGEST} bytes that the service takes as a file; put it where "
            "the service can reach it, and give the link",
        )
    return f"sha256:{digest.hexdigest()}"


def _pieces_of(path: Path) -> Iterator[bytes]:
    """A file, as far as it may be too long; piece by piece, since many are read at once."""
    with path.open("rb") as file:
        while file.tell() <= LONGEST and (piece := file.read(_PIECE)):
            yield piece


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST + 1)


def _unusable(name: str, why: str) -> UnusableFile:
    return UnusableFile(f"the file for {name} {why}; nothing was started", parameter=name)
