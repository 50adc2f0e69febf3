"""Finds the type of a file from its first bytes, because `Content-Type` headers may be wrong."""

import codecs
import re
from collections.abc import Callable, Collection

from attrs import frozen

from .._registry.family import Medium
from .error_pages import is_json_error, is_web_page

# How many bytes from the start of a file are read to recognise its type.
SNIFF_BYTES = 4096
_Matcher = Callable[[bytes], bool]


@frozen
class _FileType:
    """A file type: its suffix, the media it can hold, and a check of a file's first bytes."""

    suffix: str
    media: tuple[Medium, ...]
    matches: _Matcher


def _magic_at(offset: int, *magics: bytes) -> _Matcher:
    def matches(head: bytes) -> bool:
        return head.startswith(magics, offset)

    return matches


def _riff_form(file_type: bytes) -> _Matcher:
    def matches(head: bytes) -> bool:
        return head[:4] in (b"RIFF", b"RF64", b"FORM") and head.startswith(file_type, 8)

    return matches


def _iso_media(*brands: bytes) -> _Matcher:
    """Match ISO media files: `ftyp` at byte 4, then one of `brands`, if any are given."""

    def matches(head: bytes) -> bool:
        return head.startswith(b"ftyp", 4) and (not brands or head.startswith(brands, 8))

    return matches


# The possible second bytes of an MP3 frame: MPEG 1, 2 or 2.5, and audio layer 2 or 3. The last bit
# says whether the frame has a checksum. That bit is always 1 here, because `_is_mp3_frame` sets it
# before the comparison.
_MP3_FRAME_BYTES = b"\xe3\xe5\xf3\xf5\xfb\xfd"


def _is_mp3_frame(head: bytes) -> bool:
    # MPEG audio layer 1 is not recognised. It is out of use, and its frames start with the same
    # bytes as a UTF-16 byte order mark.
    return head[:1] == b"\xff" and len(head) > 1 and head[1] | 1 in _MP3_FRAME_BYTES


def _is_bmp(head: bytes) -> bool:
    return head.startswith(b"BM") and head.startswith(b"\0\0\0\0", 6)


def _text_matching(pattern: bytes) -> _Matcher:
    regex = re.compile(pattern, re.MULTILINE)

    def matches(head: bytes) -> bool:
        return is_text(head) and regex.search(head) is not None

    return matches


_SVG = rb"\A\s*+(?:<\?[^>]*>\s*+|<!--(?:(?!-->)[^\0])*-->\s*+|<!DOCTYPE\s+svg[^>]*>\s*+)*+<svg[\s>]"
_IMAGE: tuple[Medium, ...] = ("image",)
_VIDEO: tuple[Medium, ...] = ("video",)
_AUDIO: tuple[Medium, ...] = ("audio",)
_MODEL_3D: tuple[Medium, ...] = ("3d",)
_TEXT: tuple[Medium, ...] = ("text",)
_FILE_TYPES = (
    _FileType("png", _IMAGE, _magic_at(0, b"\x89PNG\r\n\x1a\n")),
    _FileType("jpg", _IMAGE, _magic_at(0, b"\xff\xd8\xff")),
    _FileType("gif", ("image", "video"), _magic_at(0, b"GIF87a", b"GIF89a")),
    _FileType("webp", ("image", "video"), _riff_form(b"WEBP")),
    _FileType("tiff", _IMAGE, _magic_at(0, b"II*\0", b"MM\0*")),
    _FileType("bmp", _IMAGE, _is_bmp),
    _FileType("avif", _IMAGE, _iso_media(b"avif", b"avis")),
    _FileType("heic", _IMAGE, _iso_media(b"heic", b"heix", b"mif1")),
    _FileType("svg", _IMAGE, _text_matching(_SVG)),
    _FileType("m4a", _AUDIO, _iso_media(b"M4A", b"M4B")),
    _FileType("mov", _VIDEO, _iso_media(b"qt  ")),
    _FileType("mp4", _VIDEO, _iso_media()),
    _FileType("m4a", _AUDIO, _iso_media()),
    _FileType("webm", ("video", "audio"), _magic_at(0, b"\x1a\x45\xdf\xa3")),
    _FileType("avi", _VIDEO, _riff_form(b"AVI ")),
    _FileType("wav", _AUDIO, _riff_form(b"WAVE")),
    _FileType("aiff", _AUDIO, _riff_form(b"AIF")),
    _FileType("mp3", _AUDIO, _magic_at(0, b"ID3")),
    _FileType("mp3", _AUDIO, _is_mp3_frame),
    _FileType("aac", _AUDIO, _magic_at(0, b"\xff\xf1", b"\xff\xf9")),
    _FileType("flac", _AUDIO, _magic_at(0, b"fLaC")),
    _FileType("ogg", ("audio", "video"), _magic_at(0, b"OggS")),
    _FileType("glb", _MODEL_3D, _magic_at(0, b"glTF")),
    _FileType("fbx", _MODEL_3D, _magic_at(0, b"Kaydara FBX Binary", b"; FBX")),
    _FileType("ply", _MODEL_3D, _magic_at(0, b"ply\n", b"ply\r")),
    _FileType("zip", _MODEL_3D, _magic_at(0, b"PK\x03\x04")),
    _FileType("gltf", _MODEL_3D, _text_matching(rb'\A\s*\{[^\0]*"asset"')),
    _FileType("stl", _MODEL_3D, _text_matching(rb"\Asolid\b")),
    _FileType("obj", _MODEL_3D, _text_matching(rb"^(v|vn|vt|f|o|g|mtllib|usemtl) \S")),
)
_TEXT_SUFFIXES = ("txt", "json", "srt", "vtt", "csv", "md")
# A binary STL file starts with 80 arbitrary bytes. Only the suffix of its URL can identify it.
_BINARY_STL = "stl"
_BINARY_STL_HEAD_BYTES = 84


def suffix_of(head: bytes, media: Collection[Medium], url_suffix: str = "") -> str | None:
    """
    Return the file suffix that fits the content.

    Return None for an empty file, an error page, or a type that `media` does not allow.

    Args:
        head: The first `SNIFF_BYTES` bytes, or the whole file if it is shorter.
        media: The media that the family makes. Empty allows all known types.
        url_suffix: The suffix in the URL. It decides for text files and for binary STL files,
            because their first bytes show no type.
    """
    if not head or is_web_page(head) or is_json_error(head):
        return None
    found = binary_suffix_of(head, media)
    if found:
        return found
    if (
        url_suffix == _BINARY_STL
        and _is_allowed(_MODEL_3D, media)
        and len(head) >= _BINARY_STL_HEAD_BYTES
    ):
        return None if is_text(head) else _BINARY_STL
    if _is_allowed(_TEXT, media) and is_text(head):
        return url_suffix if url_suffix in _TEXT_SUFFIXES else _TEXT_SUFFIXES[0]
    return None


def binary_suffix_of(head: bytes, media: Collection[Medium]) -> str | None:
    """Return the suffix of the allowed file type that the first bytes indicate, or None."""
    for file_type in _FILE_TYPES:
        if _is_allowed(file_type.media, media) and file_type.matches(head):
            return file_type.suffix
    return None


def is_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes can be UTF-8 text."""
    if b"\0" in head:
        return False
    try:
        # The bytes may end within a character. An incremental decoder accepts that.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _is_allowed(media: Collection[Medium], allowed: Collection[Medium]) -> bool:
    return not allowed or any(medium in allowed for medium in media)
