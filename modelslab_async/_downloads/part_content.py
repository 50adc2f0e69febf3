"""Checks what kind of file a part holds, and publishes it with its suffix. It sends nothing."""

import hashlib
from collections.abc import Collection

from .._models.download_errors import WrongContent
from .._models.saved_file import SavedFile
from .._registry.family import Medium
from .content_sniffing import SNIFF_BYTES, is_text, suffix_of
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
        ErrorPage: They are an error message.
        WrongContent: They are no file of these media.
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
        WrongContent: The bytes are base64 that is cut off.
    """
    head = part.head(SNIFF_BYTES)
    encoded = find_encoded(head, media) if url else None
    if encoded is None:
        # The suffix if no known type fits. Text that came in the reply itself gets `txt`.
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
        raise WrongContent("the file is base64 that is cut off", url=url) from None
    finally:
        decoded_part.close()
    return published


def publish_copy(part: Part, file: SavedFile) -> PublishedFile | None:
    """
    Copy a saved file of another folder into a part, and publish the part. Blocking I/O.

    Return None if the file has changed. The part is empty then.
    """
    part.restart(None)
    digest = hashlib.sha256()
    with file.path.open("rb") as source:
        while data := source.read(_CHUNK_BYTES):
            digest.update(data)
            part.append(data)
    if digest.hexdigest() != file.sha256:
        part.restart(None)
        return None
    suffix = file.path.suffix.removeprefix(".") or "bin"
    return part.publish(suffix, file.url, is_length_known=file.is_length_verified)


def describe_media(media: Collection[Medium]) -> str:
    """Name these media in an error message."""
    return " or ".join(media) or "any known kind of file"


def _suffix(head: bytes, media: Collection[Medium], url: str) -> str | None:
    url_suffix = without_query(url).rpartition("/")[2].rpartition(".")[2].lower()
    return suffix_of(head, media, url_suffix if len(url_suffix) <= _MAX_SUFFIX_CHARS else "")
