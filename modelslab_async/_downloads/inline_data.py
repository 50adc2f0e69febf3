"""Inline: results that are no links but the data itself, as base64, a data URI or plain text."""

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from attrs import frozen

from .._registry.family import Medium
from .content_sniffing import SNIFF_BYTES, binary_suffix_of, suffix_of

_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(rb"\s*data:[\w.+-]*/?[\w.+-]*(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
# Without base64 the data stands as it is, with `%20` and the like. A text is no URI by accident.
_PLAIN_URI = re.compile(rb"\s*data:([\w.+-]+/[\w.+-]+)?(;[\w.+-]+(=[^;,\s]*)?)*,", re.IGNORECASE)
_BLANKS = b" \t\r\n"
_BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BASE64_GROUP = 4
_ESCAPE_CHARS = len("%20")


def is_link(output: str) -> bool:
    """Whether an output is a URL to go to."""
    return _LINK.match(output) is not None


@frozen
class EncodedContent:
    """What a file in another file's clothes holds: where it begins, and how it is undone."""

    start: int
    decode: Callable[[Iterable[bytes]], Iterator[bytes]]


def find_encoded(head: bytes, media: Collection[Medium]) -> EncodedContent | None:
    """
    What a file in base64 or a data URI holds; None: this is neither.

    Almost any word is base64 of something, so what is in there has to be of the right kind: bytes
    that are known by how they begin, or anything fitting behind the mark of a data URI.

    Args:
        head: The first bytes, `SNIFF_BYTES` of them or the whole.
        media: What the family makes.
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
    """The bytes behind a text in pieces in which some stand as `%20` and the like."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        # The last one may be cut in half.
        escape_at = text.rfind(b"%", -_ESCAPE_CHARS + 1)
        complete = len(text) if escape_at < 0 else escape_at
        rest = text[complete:]
        yield unquote_to_bytes(text[:complete])
    yield unquote_to_bytes(rest)


def decode_base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    The bytes behind base64 that comes in pieces.

    Raises:
        ValueError: It is not base64 to its end.
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
    """The bytes of an output that is no link; None: it is nothing that this family makes."""
    text = output.encode("utf-8", "replace")
    encoded = find_encoded(text[:SNIFF_BYTES], media)
    if encoded is not None:
        try:
            return b"".join(encoded.decode((text[encoded.start :],)))
        except ValueError:
            return None
    return text if not media or "text" in media else None
