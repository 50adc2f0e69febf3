"""Encodes a tiny playable MP4 without a video library. All frames are the same JPEG image."""

import struct

from .image_encoders import JPEG_CELL_PX, jpeg
from .pictures import Picture

_UNITS_PER_S = 1000
_FRAME_COUNT = 4
_FRAME_DURATION_MS = 250
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_JPEG_OBJECT_TYPE = 0x6C


def mp4(picture: Picture) -> bytes:
    """Encode a video that shows one picture for a second."""
    frame = jpeg(picture)
    size = picture.width * JPEG_CELL_PX, picture.height * JPEG_CELL_PX
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    # The header contains the file offset of the frames, and this offset depends on the header's
    # length. So first measure a header with the offset 0, which has the same length.
    data_offset = len(head) + len(_movie(size, len(frame), 0)) + 8
    return head + _movie(size, len(frame), data_offset) + _box(b"mdat", frame * _FRAME_COUNT)


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + kind + data


def _full_box(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _movie(size: tuple[int, int], frame_bytes: int, data_offset: int) -> bytes:
    length = _FRAME_COUNT * _FRAME_DURATION_MS
    header = _full_box(
        b"mvhd",
        struct.pack(">4IIH10x", 0, 0, _UNITS_PER_S, length, 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", 2),
    )
    track_header = _full_box(
        b"tkhd",
        struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">2I", size[0] << 16, size[1] << 16),
        flags=3,
    )
    media = _box(
        b"mdia",
        _full_box(b"mdhd", struct.pack(">4I2H", 0, 0, _UNITS_PER_S, length, 0x55C4, 0)),
        _full_box(b"hdlr", bytes(4), b"vide", bytes(12), b"video\x00"),
        _box(
            b"minf",
            _full_box(b"vmhd", bytes(8), flags=1),
            _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), _full_box(b"url ", flags=1))),
            _sample_table(size, frame_bytes, data_offset),
        ),
    )
    return _box(b"moov", header, _box(b"trak", track_header, media))


def _sample_table(size: tuple[int, int], frame_bytes: int, data_offset: int) -> bytes:
    """Encode the table of frames. All frames are in one chunk, with equal size and duration."""
    return _box(
        b"stbl",
        _full_box(b"stsd", struct.pack(">I", 1), _sample_entry(size)),
        _full_box(b"stts", struct.pack(">3I", 1, _FRAME_COUNT, _FRAME_DURATION_MS)),
        _full_box(b"stsc", struct.pack(">4I", 1, 1, _FRAME_COUNT, 1)),
        _full_box(b"stsz", struct.pack(">2I", frame_bytes, _FRAME_COUNT)),
        _full_box(b"stco", struct.pack(">2I", 1, data_offset)),
    )


def _sample_entry(size: tuple[int, int]) -> bytes:
    decoder = _descriptor(4, struct.pack(">BB3sII", _JPEG_OBJECT_TYPE, 0x11, bytes(3), 0, 0))
    stream = _descriptor(3, struct.pack(">HB", 1, 0), decoder, _descriptor(6, b"\x02"))
    return _box(
        b"mp4v",
        struct.pack(">6xH16x2H", 1, *size),
        struct.pack(">2I4xH32x2H", 0x480000, 0x480000, 1, 24, 0xFFFF),
        _full_box(b"esds", stream),
    )


def _descriptor(tag: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return bytes((tag, len(data))) + data
