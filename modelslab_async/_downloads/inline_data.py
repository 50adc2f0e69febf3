"""Decodes outputs that are not links: base64, data URIs and plain text."""

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from attrs import frozen

from .._registry.family import Medium
from .content_sniffing import SNIFF_BYTES, binary_suffix_of, suffix_of

_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(rb"\s*data:[\w.+-]*/?[\w.+-]*(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
# A data URI without base64 is percent-encoded. The pattern is strict, so that no ordinary text
# matches it.
_PLAIN_URI = re.compile(rb"\s*data:([\w.+-]+/[\w.+-]+)?(;[\w.+-]+(=[^;,\s]*)?)*,", re.IGNORECASE)
_BLANKS = b" \t\r\n"
_BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BASE64_GROUP = 4
_ESCAPE_CHARS = len("%20")


def is_link(output: str) -> bool:
    """Whether an output is an http or https URL."""
    return _LINK.match(output) is not None


@frozen
class EncodedContent:
    """Where encoded content starts in a text, and how to decode the content."""

    start: int
    decode: Callable[[Iterable[bytes]], Iterator[bytes]]


def find_encoded(head: bytes, media: Collection[Medium]) -> EncodedContent | None:
    """
    Find a file in base64 or in a data URI. Return None if the text has no such file.

    Almost any word is valid base64. So base64 outside a data URI counts only if the first decoded
    bytes show a known file type.

    Args:
        head: The first `SNIFF_BYTES` bytes of the text, or the whole text if it is shorter.
        media: The media that the family makes.
    """
    data_uri = _DATA_URI.match(head)
    if data_uri is None and (plain_uri := _PLAIN_URI.match(head)):
        content = b"".join(decode_percent((head[plain_uri.end() :],)))
        return (
            EncodedContent(plain_uri.end(), decode_percent) if suffix_of(content, media) else None
        )
    start = data_uri.end() if data_uri else 0
    text = head[start:].translate(_URL_SAFE_TO_STANDARD, _BLANKS)
    if not _BASE64_TEXT.fullmatch(text):
        return None
    content = binascii.a2b_base64(text[: len(text) // _BASE64_GROUP * _BASE64_GROUP])
    found = suffix_of(content, media) if data_uri else binary_suffix_of(content, media)
    return EncodedContent(start, decode_base64) if found else None


def decode_percent(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decode percent-encoded text that comes in chunks."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        # Keep an incomplete escape, such as the `%2` of `%20`, for the next chunk.
        escape_at = text.rfind(b"%", -_ESCAPE_CHARS + 1)
        complete = len(text) if escape_at < 0 else escape_at
        rest = text[complete:]
        yield unquote_to_bytes(text[:complete])
    yield unquote_to_bytes(rest)


def decode_base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Decode base64 text that comes in chunks.

    Raises:
        ValueError: The text is not valid base64.
    """
    rest = b""
    for chunk in chunks:
        text = rest + chunk.translate(_URL_SAFE_TO_STANDARD, _BLANKS)
        complete = len(text) // _BASE64_GROUP * _BASE64_GROUP
        rest = text[complete:]
        if complete:
            yield binascii.a2b_base64(text[:complete], strict_mode=True)
    if rest:
        rest += b"=" * (-len(rest) % _BASE64_GROUP)
        yield binascii.a2b_base64(rest, strict_mode=True)


def inline_bytes(output: str, media: Collection[Medium]) -> bytes | None:
    """
    Return the file that an output contains in place of a link.

    Return None if decoding fails, or if the output is plain text and the family makes no text.

    Args:
        output: An output that is not a link.
        media: The media that the family makes. If it is empty, all media are allowed.
    """
    text = output.encode("utf-8", "replace")
    encoded = find_encoded(text[:SNIFF_BYTES], media)
    if encoded is not None:
        try:
            return b"".join(encoded.decode((text[encoded.start :],)))
        except ValueError:
            return None
    return text if not media or "text" in media else None
