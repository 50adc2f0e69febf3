"""Kinds: what a file is by its first bytes, whatever a URL or a header calls it. A table."""

import codecs
import re
from collections.abc import Callable, Collection

from attrs import frozen

from .._registry.family import Medium
from .error_pages import is_error, is_page

# As many bytes as a verdict takes.
HEAD = 4096
_Test = Callable[[bytes], bool]


@frozen
class _Kind:
    """One row: the ending of such files, the media they are, and how they begin."""

    suffix: str
    media: tuple[Medium, ...]
    begins: _Test


def _at(place: int, *magics: bytes) -> _Test:
    def begins(head: bytes) -> bool:
        return head.startswith(magics, place)

    return begins


def _riff(kind: bytes) -> _Test:
    def begins(head: bytes) -> bool:
        return head[:4] in (b"RIFF", b"RF64", b"FORM") and head.startswith(kind, 8)

    return begins


def _boxed(*brands: bytes) -> _Test:
    """ISO media: the second word is `ftyp`, the third says what for; no brand: whatever for."""

    def begins(head: bytes) -> bool:
        return head.startswith(b"ftyp", 4) and (not brands or head.startswith(brands, 8))

    return begins


# The second byte of a frame, for each version with layer 3 or 2; its last bit says nothing.
_FRAMES = b"\xe3\xe5\xf3\xf5\xfb\xfd"


def _frame_of_mp3(head: bytes) -> bool:
    # Layer 1 is not among them: nobody makes it, and the mark of UTF-16 looks like that.
    return head[:1] == b"\xff" and len(head) > 1 and head[1] | 1 in _FRAMES


def _bitmap(head: bytes) -> bool:
    return head.startswith(b"BM") and head.startswith(b"\0\0\0\0", 6)


def _says(pattern: bytes) -> _Test:
    wanted = re.compile(pattern, re.MULTILINE)

    def begins(head: bytes) -> bool:
        return is_text(head) and wanted.search(head) is not None

    return begins


_SVG = rb"\A\s*+(?:<\?[^>]*>\s*+|<!--(?:(?!-->)[^\0])*-->\s*+|<!DOCTYPE\s+svg[^>]*>\s*+)*+<svg[\s>]"
_IMAGE: tuple[Medium, ...] = ("image",)
_VIDEO: tuple[Medium, ...] = ("video",)
_AUDIO: tuple[Medium, ...] = ("audio",)
_MODEL: tuple[Medium, ...] = ("3d",)
_TEXT: tuple[Medium, ...] = ("text",)
_KINDS = (
    _Kind("png", _IMAGE, _at(0, b"\x89PNG\r\n\x1a\n")),
    _Kind("jpg", _IMAGE, _at(0, b"\xff\xd8\xff")),
    _Kind("gif", ("image", "video"), _at(0, b"GIF87a", b"GIF89a")),
    _Kind("webp", ("image", "video"), _riff(b"WEBP")),
    _Kind("tiff", _IMAGE, _at(0, b"II*\0", b"MM\0*")),
    _Kind("bmp", _IMAGE, _bitmap),
    _Kind("avif", _IMAGE, _boxed(b"avif", b"avis")),
    _Kind("heic", _IMAGE, _boxed(b"heic", b"heix", b"mif1")),
    _Kind("svg", _IMAGE, _says(_SVG)),
    _Kind("m4a", _AUDIO, _boxed(b"M4A", b"M4B")),
    _Kind("mov", _VIDEO, _boxed(b"qt  ")),
    _Kind("mp4", _VIDEO, _boxed()),
    _Kind("m4a", _AUDIO, _boxed()),
    _Kind("webm", ("video", "audio"), _at(0, b"\x1a\x45\xdf\xa3")),
    _Kind("avi", _VIDEO, _riff(b"AVI ")),
    _Kind("wav", _AUDIO, _riff(b"WAVE")),
    _Kind("aiff", _AUDIO, _riff(b"AIF")),
    _Kind("mp3", _AUDIO, _at(0, b"ID3")),
    _Kind("mp3", _AUDIO, _frame_of_mp3),
    _Kind("aac", _AUDIO, _at(0, b"\xff\xf1", b"\xff\xf9")),
    _Kind("flac", _AUDIO, _at(0, b"fLaC")),
    _Kind("ogg", ("audio", "video"), _at(0, b"OggS")),
    _Kind("glb", _MODEL, _at(0, b"glTF")),
    _Kind("fbx", _MODEL, _at(0, b"Kaydara FBX Binary", b"; FBX")),
    _Kind("ply", _MODEL, _at(0, b"ply\n", b"ply\r")),
    _Kind("zip", _MODEL, _at(0, b"PK\x03\x04")),
    _Kind("gltf", _MODEL, _says(rb'\A\s*\{[^\0]*"asset"')),
    _Kind("stl", _MODEL, _says(rb"\Asolid\b")),
    _Kind("obj", _MODEL, _says(rb"^(v|vn|vt|f|o|g|mtllib|usemtl) \S")),
)
_TEXTS = ("txt", "json", "srt", "vtt", "csv", "md")
# Binary STL begins with 80 bytes of anything, so that its name has to do.
_NAMELESS = "stl"
_NAMELESS_HEAD = 84


def suffix_of(head: bytes, media: Collection[Medium], named: str = "") -> str | None:
    """
    The ending that a file gets; None: it is none of these media.

    Args:
        head: Its first bytes, `HEAD` of them or the whole file.
        media: What the family makes; none: anything that is known.
        named: The ending in its URL, heeded only among kinds that look the same.
    """
    if not head or is_page(head) or is_error(head):
        return None
    found = binary_suffix_of(head, media)
    if found:
        return found
    if named == _NAMELESS and _wanted(_MODEL, media) and len(head) >= _NAMELESS_HEAD:
        return None if is_text(head) else _NAMELESS
    if _wanted(_TEXT, media) and is_text(head):
        return named if named in _TEXTS else _TEXTS[0]
    return None


def binary_suffix_of(head: bytes, media: Collection[Medium]) -> str | None:
    """The ending of a file that is known by how it begins; None: it is none of these media."""
    for kind in _KINDS:
        if _wanted(kind.media, media) and kind.begins(head):
            return kind.suffix
    return None


def is_text(head: bytes) -> bool:
    """Whether these bytes begin a text in UTF-8."""
    if b"\0" in head:
        return False
    try:
        # The last character may be cut in half.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _wanted(media: Collection[Medium], asked: Collection[Medium]) -> bool:
    return not asked or any(medium in asked for medium in media)
