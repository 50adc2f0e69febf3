"""
Copies a saved file into a part, checks what kind of file a part holds, and publishes the part.

It sends nothing.
"""

import hashlib
from collections.abc import Collection
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

from .._aio.threads import run_in_thread
from .._models.download_errors import WrongContent
from .._models.saved_file import SavedFile
from .._registry.family import Medium
from .content_sniffing import SNIFF_BYTES, is_text, suffix_of
from .download_error_translation import as_download_error
from .error_pages import is_json_error
from .http_get import without_query
from .inline_data import find_encoded
from .part_file import PublishedFile
from .part_protocol import Part, PartFolder
from .transfer import ErrorPage

_MAX_SUFFIX_CHARS = 8
_CHUNK_BYTES = 1 << 20


def check_content(part: Part, media: Collection[Medium], link: str) -> None:
    """
    Check the first bytes that a link has sent. Blocking I/O.

    Raises:
        ErrorPage: The bytes are an error message.
        WrongContent: The bytes are not the start of a file of these media.
    """
    head = part.head(SNIFF_BYTES)
    if is_json_error(head):
        raise ErrorPage(
            f"an error message came in place of the file: {head[:80]!r}",
            url=without_query(link),
        )
    if _suffix(head, media, link) is None and find_encoded(head, media) is None:
        raise WrongContent(
            f"what came is not {describe_media(media)} but begins with {head[:24]!r}",
            url=without_query(link),
            argument="output",
        )


def publish_part(
    part: Part, folder: PartFolder, media: Collection[Medium], url: str
) -> PublishedFile:
    """
    Give a complete file its final name. Decode base64 or a data URI first. Blocking I/O.

    Args:
        part: The part with the bytes of the file.
        folder: The folder of the part. It gets a second part if the bytes must be decoded.
        media: The media that the family makes.
        url: The link that has sent the bytes; "" if they came in the reply.

    Raises:
        WrongContent: The bytes are truncated or invalid base64.
    """
    head = part.head(SNIFF_BYTES)
    encoded = find_encoded(head, media) if url else None
    if encoded is None:
        # The suffix for bytes of an unknown type. Text from the reply itself gets `txt`.
        fallback = "bin" if url or not is_text(head) else "txt"
        return part.publish(
            _suffix(head, media, url) or fallback, url, is_length_known=part.is_length_known
        )
    decoded_part = folder.open(part.stem)
    try:
        decoded_part.restart(None)
        for data in encoded.decode(part.chunks(encoded.start)):
            decoded_part.append(data)
        published = decoded_part.publish(
            _suffix(decoded_part.head(SNIFF_BYTES), media, url) or "bin",
            url,
            is_length_known=part.is_length_known,
        )
        decoded_part.delete()
    except ValueError:
        raise WrongContent("the file is base64 that is cut off or invalid", url=url) from None
    finally:
        decoded_part.close()
    return published


async def copy_saved_file(part: Part, file: SavedFile) -> bool:
    """
    Fill a part with the bytes of a saved file. A cancelled copy ends after the current chunk.

    Returns:
        True if the part now has the recorded bytes. False if the saved file has changed, is missing
        or cannot be read; then the part is empty.

    Raises:
        DownloadError: The part cannot be written.
    """
    digest = hashlib.sha256()
    with as_download_error():
        await run_in_thread(part.restart, None)
    # Suppress only errors of the saved file. An OSError of the part becomes a DownloadError below,
    # which is not suppressed.
    with suppress(OSError), await run_in_thread(_open, file.path, undo=_close) as source:
        while data := await run_in_thread(source.read, _CHUNK_BYTES):
            with as_download_error():
                await run_in_thread(part.append, data)
                await run_in_thread(digest.update, data)
    if digest.hexdigest() == file.sha256:
        return True
    with as_download_error():
        await run_in_thread(part.restart, None)
    return False


def publish_copy(part: Part, file: SavedFile) -> PublishedFile:
    """Give the copy of a saved file its final name. Blocking I/O."""
    suffix = file.path.suffix.removeprefix(".") or "bin"
    return part.publish(suffix, file.url, is_length_known=file.is_length_verified)


def describe_media(media: Collection[Medium]) -> str:
    """Return the words for these media in an error message."""
    return " or ".join(media) or "any known kind of file"


def _suffix(head: bytes, media: Collection[Medium], url: str) -> str | None:
    url_suffix = without_query(url).rpartition("/")[2].rpartition(".")[2].lower()
    return suffix_of(head, media, url_suffix if len(url_suffix) <= _MAX_SUFFIX_CHARS else "")


def _open(path: Path) -> BufferedIOBase:
    return path.open("rb")


def _close(file: BufferedIOBase) -> None:
    file.close()
