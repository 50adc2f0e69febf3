"""Movies: a tiny MP4 that plays, made byte by byte. Its one track shows one JPEG picture."""

import struct

from .images import SIDE, Colour, jpeg

_MILLISECONDS = 1000
_FRAMES = 4
_FRAME_TIME = 250
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_JPEG_OBJECT = 0x6C


def mp4(colour: Colour) -> bytes:
    """A movie of one second and one colour."""
    picture = jpeg(colour)
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    # Where the pictures start depends on how long what stands before them is; numbers have a fixed
    # width, so any guess has the right length.
    start = len(head) + len(_movie(len(picture), 0)) + 8
    return head + _movie(len(picture), start) + _box(b"mdat", picture * _FRAMES)


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + kind + data


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _movie(picture: int, start: int) -> bytes:
    length = _FRAMES * _FRAME_TIME
    header = _full(
        b"mvhd",
        struct.pack(">4IIH10x", 0, 0, _MILLISECONDS, length, 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", 2),
    )
    track_header = _full(
        b"tkhd",
        struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">2I", SIDE << 16, SIDE << 16),
        flags=3,
    )
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">4I2H", 0, 0, _MILLISECONDS, length, 0x55C4, 0)),
        _full(b"hdlr", bytes(4), b"vide", bytes(12), b"video\x00"),
        _box(
            b"minf",
            _full(b"vmhd", bytes(8), flags=1),
            _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1))),
            _samples(picture, start),
        ),
    )
    return _box(b"moov", header, _box(b"trak", track_header, media))


def _samples(picture: int, start: int) -> bytes:
    """Where the frames lie: one chunk, all of one size and one length."""
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), _entry()),
        _full(b"stts", struct.pack(">3I", 1, _FRAMES, _FRAME_TIME)),
        _full(b"stsc", struct.pack(">4I", 1, 1, _FRAMES, 1)),
        _full(b"stsz", struct.pack(">2I", picture, _FRAMES)),
        _full(b"stco", struct.pack(">2I", 1, start)),
    )


def _entry() -> bytes:
    decoder = _descriptor(4, struct.pack(">BB3sII", _JPEG_OBJECT, 0x11, bytes(3), 0, 0))
    stream = _descriptor(3, struct.pack(">HB", 1, 0), decoder, _descriptor(6, b"\x02"))
    return _box(
        b"mp4v",
        struct.pack(">6xH16x2H", 1, SIDE, SIDE),
        struct.pack(">2I4xH32x2H", 0x480000, 0x480000, 1, 24, 0xFFFF),
        _full(b"esds", stream),
    )


def _descriptor(tag: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return bytes((tag, len(data))) + data
