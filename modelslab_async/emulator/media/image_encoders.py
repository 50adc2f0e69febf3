"""Encodes pictures as PNG, GIF and JPEG without an image library."""

import struct
import zlib
from collections.abc import Iterator

from .pictures import Colour, Picture

# The width and height of a picture's cell in pixels. In a JPEG, a cell is one 8x8 block. In a GIF,
# cells are small, because each pixel costs bytes.
JPEG_CELL_PX = 8
_PNG_CELL_PX = 6
_GIF_CELL_PX = 2
_GIF_COLOUR_BITS = 4


def png(picture: Picture) -> bytes:
    """Encode a PNG with a palette."""
    width, height = picture.width * _PNG_CELL_PX, picture.height * _PNG_CELL_PX
    pixels = b"".join((b"\x00" + row) * _PNG_CELL_PX for row in _pixel_rows(picture, _PNG_CELL_PX))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _png_chunk(b"PLTE", b"".join(map(bytes, picture.palette))),
            _png_chunk(b"IDAT", zlib.compress(pixels)),
            _png_chunk(b"IEND", b""),
        )
    )


def _pixel_rows(picture: Picture, cell_px: int) -> Iterator[bytes]:
    """Yield one line of pixels per row of cells. The caller repeats each line `cell_px` times."""
    for start in range(0, len(picture.cells), picture.width):
        row = picture.cells[start : start + picture.width]
        yield b"".join(bytes((index,)) * cell_px for index in row)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif(picture: Picture) -> bytes:
    """Encode a GIF."""
    width, height = picture.width * _GIF_CELL_PX, picture.height * _GIF_CELL_PX
    data = _gif_data(b"".join(row * _GIF_CELL_PX for row in _pixel_rows(picture, _GIF_CELL_PX)))
    blocks = b"".join(
        bytes((len(part),)) + part
        for part in (data[at : at + 255] for at in range(0, len(data), 255))
    )
    colours = b"".join(map(bytes, picture.palette))
    return b"".join(
        (
            b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | _GIF_COLOUR_BITS - 1, 0, 0),
            colours + bytes(3 * (1 << _GIF_COLOUR_BITS) - len(colours)),
            b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0),
            bytes((_GIF_COLOUR_BITS,)) + blocks + b"\x00",
            b"\x3b",
        )
    )


def _gif_data(pixels: bytes) -> bytes:
    """Encode pixels as LZW codes that all have the same length."""
    # LZW codes get longer as the dictionary grows. A clear code before each pixel keeps the
    # dictionary empty. So each code has just one bit more than a colour number.
    code_bits = _GIF_COLOUR_BITS + 1
    clear = 1 << _GIF_COLOUR_BITS
    pairs = {index: f"{index:0{code_bits}b}{clear:0{code_bits}b}" for index in set(pixels)}
    # LZW stores the first code in the lowest bits. So the bit string holds the codes in
    # reverse order.
    bits = f"{clear + 1:0{code_bits}b}" + "".join(pairs[index] for index in reversed(pixels))
    return int(bits, 2).to_bytes((len(bits) + 7) // 8, "little")


def jpeg(picture: Picture) -> bytes:
    """Encode a baseline JPEG, in which each cell is one block of a single colour."""
    width, height = picture.width * JPEG_CELL_PX, picture.height * JPEG_CELL_PX
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"".join(
        bytes((component, 0x11, 0)) for component in (1, 2, 3)
    )
    # A JPEG stores the mean of a block as its difference from the previous block's mean. A code of
    # four bits says how many bits the difference has, from 0 to 11. The first Huffman table lists
    # these codes. The second Huffman table has only the symbol that ends a block.
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
            _jpeg_data(picture),
            b"\xff\xd9",
        )
    )


def _jpeg_segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def _jpeg_data(picture: Picture) -> bytes:
    """Encode the blocks. Each block stores how its colour differs from the previous block's."""
    means = [_luma_and_chroma(colour) for colour in picture.palette]
    codes: list[str] = []
    before = (128, 128, 128)
    for index in picture.cells:
        codes.extend(
            f"{_dc_code(value - old)}0" for value, old in zip(means[index], before, strict=True)
        )
        before = means[index]
    bits = "".join(codes)
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8).replace(b"\xff", b"\xff\x00")


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
