"""Inline: results that are no links but the data itself, as base64, a data URI or plain text."""

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from attrs import frozen

from .._registry.family import Medium
from .content_sniffing import HEAD, binary_suffix_of, suffix_of

_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URI = re.compile(rb"\s*data:[\w.+-]*/?[\w.+-]*(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
# Without base64 the data stands as it is, with `%20` and the like. A text is no URI by accident.
_PLAIN_URI = re.compile(rb"\s*data:([\w.+-]+/[\w.+-]+)?(;[\w.+-]+(=[^;,\s]*)?)*,", re.IGNORECASE)
_BLANKS = b" \t\r\n"
_ALPHABET = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_QUANTUM = 4
_ESCAPE = len("%20")


def is_link(output: str) -> bool:
    """Whether an output is a URL to go to."""
    return _LINK.match(output) is not None


@frozen
class Payload:
    """What a file in another file's clothes holds: where it begins, and how it is undone."""

    start: int
    decode: Callable[[Iterable[bytes]], Iterator[bytes]]


def payload_of(head: bytes, media: Collection[Medium]) -> Payload | None:
    """
    What a file in base64 or a data URI holds; None: this is neither.

    Almost any word is base64 of something, so what is in there has to be of the right kind: bytes
    that are known by how they begin, or anything fitting behind the mark of a data URI.

    Args:
        head: The first bytes, `HEAD` of them or the whole.
        media: What the family makes.
    """
    mark = _DATA_URI.match(head)
    if mark is None and (plain := _PLAIN_URI.match(head)):
        inside = b"".join(unquoted((head[plain.end() :],)))
        return Payload(plain.end(), unquoted) if suffix_of(inside, media) else None
    start = mark.end() if mark else 0
    text = head[start:].translate(_URL_SAFE, _BLANKS)
    if not _ALPHABET.fullmatch(text):
        return None
    inside = binascii.a2b_base64(text[: len(text) // _QUANTUM * _QUANTUM])
    found = suffix_of(inside, media) if mark else binary_suffix_of(inside, media)
    return Payload(start, decoded) if found else None


def unquoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes behind a text in pieces in which some stand as `%20` and the like."""
    rest = b""
    for piece in pieces:
        text = rest + piece
        # The last one may be cut in half.
        cut = text.rfind(b"%", -_ESCAPE + 1)
        whole = len(text) if cut < 0 else cut
        rest = text[whole:]
        yield unquote_to_bytes(text[:whole])
    yield unquote_to_bytes(rest)


def decoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """
    The bytes behind base64 that comes in pieces.

    Raises:
        ValueError: It is not base64 to its end.
    """
    rest = b""
    for piece in pieces:
        text = rest + piece.translate(_URL_SAFE, _BLANKS)
        whole = len(text) // _QUANTUM * _QUANTUM
        rest = text[whole:]
        if whole:
            yield binascii.a2b_base64(text[:whole], strict_mode=True)
    if rest:
        rest += b"=" * (-len(rest) % _QUANTUM)
        yield binascii.a2b_base64(rest, strict_mode=True)


def data_of(output: str, media: Collection[Medium]) -> bytes | None:
    """The bytes of an output that is no link; None: it is nothing that this family makes."""
    text = output.encode("utf-8", "replace")
    payload = payload_of(text[:HEAD], media)
    if payload is not None:
        try:
            return b"".join(payload.decode((text[payload.start :],)))
        except ValueError:
            return None
    return text if not media or "text" in media else None
