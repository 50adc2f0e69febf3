"""Uploads: files among the parameters, which the service takes as links. It sends nothing."""

import base64
import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from attrs import field, frozen

from ._downloads.kinds import HEAD, binary_suffix_of

# The service takes no longer file in this way.
LONGEST = 5_000_000


@frozen
class Upload:
    """
    A file that was read, and is to be sent.

    Attributes:
        data: Its bytes.
    """

    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells it from other files."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    @property
    def data_url(self) -> str:
        """The file as one text."""
        suffix = binary_suffix_of(self.data[:HEAD], ())
        kind = mimetypes.guess_type(f"a.{suffix}")[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(self.data).decode()}"


async def with_files_read(params: Mapping[str, Any]) -> dict[str, Any]:
    """
    The parameters with each file in them read: a path, bytes, or an object with `read`.

    Raises:
        ValueError: A file is too long, empty, or a text.
        OSError: A file cannot be read.
    """
    return {name: await _each(value, partial(_read, name)) for name, value in params.items()}


async def with_files_sent(
    params: Mapping[str, Any], send: Callable[[str], Awaitable[str]]
) -> dict[str, Any]:
    """The parameters with a link in the place of each file; `send` makes one of a data URL."""

    async def sent(value: Any) -> Any:
        return await send(value.data_url) if isinstance(value, Upload) else value

    return {name: await _each(value, sent) for name, value in params.items()}


async def _each(value: Any, change: Callable[[Any], Awaitable[Any]]) -> Any:
    if isinstance(value, (list, tuple)):
        return [await change(each) for each in value]
    return await change(value)


async def _read(name: str, value: Any) -> Any:
    match value:
        case bytes() | bytearray() | memoryview():
            data: Any = bytes(value)
        case os.PathLike():
            data = await anyio.to_thread.run_sync(_start_of, Path(value))
        case _ if callable(getattr(value, "read", None)):
            data = await anyio.to_thread.run_sync(value.read, LONGEST + 1)
        case _:
            return value
    if not isinstance(data, bytes):
        raise ValueError(  # noqa: TRY004 -- what it reads is wrong, not what it is.
            f"{name} is a file of text; open it with mode 'rb'"
        )
    if not data:
        raise ValueError(f"{name} is an empty file")
    if len(data) > LONGEST:
        raise ValueError(
            f"{name} is longer than the {LONGEST} bytes that the service takes as a file; put it "
            "where the service can reach it, and give the link"
        )
    return Upload(data)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST + 1)
