"""Finds and reads the files among the parameters of a request."""

import base64
import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio.to_thread
from attrs import field, frozen

from .._downloads.content_sniffing import SNIFF_BYTES, binary_suffix_of
from .._models.errors import UnusableFile

# The maximum size of a file that the service accepts.
MAX_FILE_BYTES = 5_000_000
_CHUNK_BYTES = 1 << 16
# Files of at least this size are hashed in a thread. For a smaller file, a thread costs more time
# than it saves.
_THREAD_THRESHOLD_BYTES = 1 << 18

T = TypeVar("T")


@frozen
class Upload:
    """
    A file among the parameters of a request. It is uploaded once the request has a slot.

    If `source` is a path, the file is read twice: once for its digest, and again for the upload. So
    a request that waits for a slot does not keep the file in memory.

    Attributes:
        parameter: The name of the parameter whose value is the file.
        digest: The SHA-256 of the file.
        source: The path or the bytes of the file.
    """

    parameter: str
    digest: str
    source: Path | bytes = field(repr=False)

    async def data_url(self) -> str:
        """
        Return the file as a data URL.

        Raises:
            UnusableFile: The file cannot be read any more, or has changed.
        """
        return await _run_blocking(self.parameter, self.source, self._data_url)

    def _data_url(self) -> str:
        data = self.source if isinstance(self.source, bytes) else _read_path(self.source)
        if _checked_digest(self.parameter, data) != self.digest:
            raise _unusable(
                self.parameter,
                "has changed since the request was made; submit it again as it is now",
            )
        suffix = binary_suffix_of(data[:SNIFF_BYTES], ())
        mime_type = mimetypes.guess_type(f"a.{suffix}")[0] or "application/octet-stream"
        return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def files_in(params: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield each file among the parameters, with the name of its parameter."""
    for parameter, value in params.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if _is_file(item):
                yield parameter, item


async def with_uploads(params: Mapping[str, Any]) -> dict[str, Any]:
    """
    Read the files among the parameters, and return the parameters with an `Upload` for each file.

    Raises:
        UnusableFile: A file cannot be read, is too large or empty, or was opened in text mode.
    """
    return {
        parameter: await _convert(value, partial(_upload, parameter))
        for parameter, value in params.items()
    }


async def with_links(
    params: Mapping[str, Any], get_link: Callable[[Upload], Awaitable[str]]
) -> dict[str, Any]:
    """Return the parameters with each `Upload` replaced by its link."""

    async def to_link(value: Any) -> Any:
        return await get_link(value) if isinstance(value, Upload) else value

    return {parameter: await _convert(value, to_link) for parameter, value in params.items()}


async def _convert(value: Any, convert: Callable[[Any], Awaitable[Any]]) -> Any:
    if isinstance(value, (list, tuple)):
        return [await convert(item) for item in value]
    return await convert(value)


def _is_file(value: object) -> bool:
    file_types = (bytes, bytearray, memoryview, os.PathLike)
    return isinstance(value, file_types) or callable(getattr(value, "read", None))


async def _upload(parameter: str, value: Any) -> Any:
    if not _is_file(value):
        return value
    source: Path | bytes
    match value:
        case bytes() | bytearray() | memoryview():
            source = bytes(value)
        case os.PathLike():
            with _errors_as_unusable(parameter):
                source = Path(value)
        case _:
            # Read an open file now, because the caller may close it or seek in it before the
            # request has a slot.
            source = await _run_blocking(
                parameter, value, partial(_read_open_file, parameter, value)
            )
    return Upload(
        parameter,
        await _run_blocking(parameter, source, partial(_checked_digest, parameter, source)),
        source,
    )


async def _run_blocking(parameter: str, source: object, function: Callable[[], T]) -> T:
    """Call a function that reads a file. Use a thread, unless the file is a short bytes object."""
    with _errors_as_unusable(parameter):
        if isinstance(source, bytes) and len(source) < _THREAD_THRESHOLD_BYTES:
            return function()
        return await anyio.to_thread.run_sync(function)


@contextmanager
def _errors_as_unusable(parameter: str) -> Generator[None, None, None]:
    """Turn any exception of the block into `UnusableFile`, so that only one request fails."""
    try:
        yield
    except UnusableFile:
        raise
    except Exception as error:
        reason = f"cannot be read: {type(error).__name__}: {error}"
        raise _unusable(parameter, reason) from error


def _read_open_file(parameter: str, file: BinaryIO) -> bytes:
    data: object = file.read(MAX_FILE_BYTES + 1)
    if isinstance(data, bytes):
        return data
    raise _unusable(
        parameter,
        f"returns a {type(data).__name__} instead of bytes when it is read; open it with mode 'rb'",
    )


def _checked_digest(parameter: str, source: Path | bytes) -> str:
    """Return the digest of a file. Raise `UnusableFile` if it is empty or too large."""
    chunks = [source] if isinstance(source, bytes) else _chunks_of(source)
    length, digest = 0, hashlib.sha256()
    for chunk in chunks:
        length += len(chunk)
        digest.update(chunk)
    if not length:
        raise _unusable(parameter, "is an empty file")
    if length > MAX_FILE_BYTES:
        raise _unusable(
            parameter,
            f"is longer than the {MAX_FILE_BYTES} bytes that the service accepts; put it where the "
            "service can reach it, and give the link",
        )
    return f"sha256:{digest.hexdigest()}"


def _chunks_of(path: Path) -> Iterator[bytes]:
    """Yield a file in chunks, to use little memory. Stop when the file is known to be too large."""
    with path.open("rb") as file:
        while file.tell() <= MAX_FILE_BYTES and (chunk := file.read(_CHUNK_BYTES)):
            yield chunk


def _read_path(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _unusable(parameter: str, reason: str) -> UnusableFile:
    return UnusableFile(
        f"the file for {parameter} {reason}; nothing was started", parameter=parameter
    )
