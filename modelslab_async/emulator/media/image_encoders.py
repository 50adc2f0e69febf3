"""Encodes tiny images of one colour without an image library. Reads no images."""

import struct
import zlib

Colour = tuple[int, int, int]

SIDE_PX = 32
_BLOCK_PX = 8


def png(colour: Colour) -> bytes:
    """Encode a PNG of one colour."""
    row = b"\x00" + bytes(colour) * SIDE_PX
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 8, 2, 0, 0, 0)),
            _png_chunk(b"IDAT", zlib.compress(row * SIDE_PX)),
            _png_chunk(b"IEND", b""),
        )
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif(colour: Colour) -> bytes:
    """Encode a GIF of one colour."""
    # LZW codes start with three bits, and get longer as the dictionary grows. A clear code before
    # each pixel keeps the dictionary empty, so all codes have three bits.
    codes = [code for _ in range(SIDE_PX * SIDE_PX) for code in (4, 0)] + [5]
    bits = sum(code << (3 * position) for position, code in enumerate(codes))
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    blocks = b"".join(
        bytes((len(part),)) + part
        for part in (data[at : at + 255] for at in range(0, len(data), 255))
    )
    return b"".join(
        (
            b"GIF89a" + struct.pack("<HHBBB", SIDE_PX, SIDE_PX, 0x80, 0, 0),
            bytes(colour) + bytes(3),
            b"\x2c" + struct.pack("<HHHHB", 0, 0, SIDE_PX, SIDE_PX, 0),
            b"\x02" + blocks + b"\x00",
            b"\x3b",
        )
    )


def jpeg(colour: Colour) -> bytes:
    """Encode a baseline JPEG of one colour."""
    frame = struct.pack(">BHHB", 8, SIDE_PX, SIDE_PX, 3) + b"".join(
        bytes((component, 0x11, 0)) for component in (1, 2, 3)
    )
    # A block's mean is stored as the difference from the previous block's mean. In the first
    # Huffman table, each of the 12 possible bit lengths of a difference has a code of four bits. In
    # the second Huffman table, the only symbol ends a block.
    sizes = b"\x00" + bytes((0, 0, 0, 12)) + bytes(12) + bytes(range(12))
    end_codes = b"\x10" + b"\x01" + bytes(15) + b"\x00"
    scan = b"\x03" + b"".join(bytes((component, 0)) for component in (1, 2, 3)) + b"\x00\x3f\x00"
    return b"".join(
        (
            b"\xff\xd8",
            _jpeg_segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _jpeg_segment(0xDB, b"\x00" + bytes((8,)) * 64),
            _jpeg_segment(0xC0, frame),
            _jpeg_segment(0xC4, sizes),
            _jpeg_segment(0xC4, end_codes),
            _jpeg_segment(0xDA, scan),
            _jpeg_data(colour),
            b"\xff\xd9",
        )
    )


def _jpeg_segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def _jpeg_data(colour: Colour) -> bytes:
    """Encode the pixels. The first block has the colour, and all later blocks are equal to it."""
    first = "".join(_dc_code(value - 128) + "0" for value in _luma_and_chroma(colour))
    bits = first + "00000" * 3 * ((SIDE_PX // _BLOCK_PX) ** 2 - 1)
    padded = bits + "1" * (-len(bits) % 8)
    data = bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))
    return data.replace(b"\xff", b"\xff\x00")


def _dc_code(value: int) -> str:
    size = abs(value).bit_length()
    written = value if value > 0 else value + (1 << size) - 1
    return f"{size:04b}" + (f"{written:0{size}b}" if size else "")


def _luma_and_chroma(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = colour
    return (
        round(0.299 * red + 0.587 * green + 0.114 * blue),
        min(255, round(128 - 0.168736 * red - 0.331264 * green + 0.5 * blue)),
        min(255, round(128 + 0.5 * red - 0.418688 * green - 0.081312 * blue)),
    )
