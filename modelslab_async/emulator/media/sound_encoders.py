"""Makes short sounds as WAV, FLAC and MP3 without an audio library."""

import math
import struct
import zlib

_SAMPLE_RATE_HZ = 8000
_SAMPLE_COUNT = _SAMPLE_RATE_HZ // 10
_SILENCE = 128
# The size of an MP3 frame in bytes, at 128 kbit/s and 44.1 kHz. Such a frame lasts 26 ms.
_MP3_FRAME_BYTES = 417
_MP3_FRAME_COUNT = 4


def _tone(name: str) -> bytes:
    """Return 0.1 seconds of a tone as unsigned 8-bit samples. The pitch depends on the name."""
    pitch = 220 + zlib.crc32(name.encode()) % 660
    return bytes(
        _SILENCE + round(90 * math.sin(2 * math.pi * pitch * sample / _SAMPLE_RATE_HZ))
        for sample in range(_SAMPLE_COUNT)
    )


def wav(name: str) -> bytes:
    """Make a WAV file with a tone of 0.1 seconds."""
    sound = _tone(name)
    format_chunk = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, 1, _SAMPLE_RATE_HZ, _SAMPLE_RATE_HZ, 1, 8
    )
    data = format_chunk + struct.pack("<4sI", b"data", len(sound)) + sound
    return struct.pack("<4sI4s", b"RIFF", len(data) + 4, b"WAVE") + data


def flac(name: str) -> bytes:
    """Make a FLAC file with a tone of 0.1 seconds, in one frame of uncompressed samples."""
    # FLAC samples are signed, but those of `_tone` are not.
    samples = bytes((sample - _SILENCE) % 256 for sample in _tone(name))
    # Four numbers share 64 bits: the sample rate (20 bits), channels - 1 (3 bits), sample bits - 1
    # (5 bits) and the number of samples (36 bits). FLAC allows a zero in place of the MD5 sum.
    rate_and_length = _SAMPLE_RATE_HZ << 44 | 7 << 36 | _SAMPLE_COUNT
    info = struct.pack(">HH6xQ16x", _SAMPLE_COUNT, _SAMPLE_COUNT, rate_and_length)
    # The frame header says: 8 kHz, mono, 8 bits, frame number 0, block size in 16 bits.
    head = b"\xff\xf8\x74\x02\x00" + struct.pack(">H", _SAMPLE_COUNT - 1)
    frame = head + bytes((_crc(head, bits=8, polynomial=0x07),)) + b"\x02" + samples
    return b"".join(
        (
            b"fLaC",
            struct.pack(">I", 0x80 << 24 | len(info)),
            info,
            frame,
            struct.pack(">H", _crc(frame, bits=16, polynomial=0x8005)),
        )
    )


def _crc(data: bytes, *, bits: int, polynomial: int) -> int:
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (1 << bits) - 1
    return value


def mp3(name: str) -> bytes:
    """Make an MP3 file with 0.1 seconds of silence and the name as its title."""
    title = b"\x03" + name.encode()
    frame = struct.pack(">4sIH", b"TIT2", len(title), 0) + title
    # An ID3 header stores the size of the tag with seven bits in each byte.
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    silence = b"\xff\xfb\x90\xc0" + bytes(_MP3_FRAME_BYTES - 4)
    return b"ID3\x03\x00\x00" + size + frame + silence * _MP3_FRAME_COUNT
