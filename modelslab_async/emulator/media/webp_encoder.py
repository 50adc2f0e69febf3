"""Encodes pictures as lossless WebP without an image library."""

import struct
from collections.abc import Iterable

from .pictures import Colour, Picture

_CELL_PX = 2
_COLOUR_COUNT = 16
_LITERAL_COUNT = 256
# The number of symbols of the green channel: 256 colour values, and 24 symbols for copied pixels,
# which this encoder never uses.
_GREEN_SYMBOL_COUNT = _LITERAL_COUNT + 24
# WebP compresses the code lengths of a prefix code with a second prefix code. The file lists the
# code lengths of the second code in this order.
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
# A prefix code with the single symbol 0. This symbol takes no bits in the data.
_ONLY_ZERO = "1000"


def webp(picture: Picture) -> bytes:
    """Encode a picture with a palette."""
    width, height = picture.width * _CELL_PX, picture.height * _CELL_PX
    bits = "".join(
        (
            _number(0x2F, 8),
            _number(width - 1, 14),
            _number(height - 1, 14),
            "0000",
            # Each pixel is stored as an index into the palette. WebP calls this a colour indexing
            # transform. The file has no other transform.
            "1" + _number(3, 2),
            _number(_COLOUR_COUNT - 1, 8),
            _palette_bits(picture.palette),
            "0",
            _pixel_bits(picture),
        )
    )
    data = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    padding = bytes(len(data) % 2)
    chunk = struct.pack("<4sI", b"VP8L", len(data)) + data + padding
    return struct.pack("<4sI4s", b"RIFF", len(chunk) + 4, b"WEBP") + chunk


def _number(value: int, bit_count: int) -> str:
    """
    Return the bits of a number, the lowest bit first.

    Do not use this function for prefix codes, which start with the highest bit.
    """
    return f"{value:0{bit_count}b}"[::-1]


def _palette_bits(palette: tuple[Colour, ...]) -> str:
    """Encode the palette as a row of pixels, each as its difference from the previous colour."""
    padded = [*palette, *[(0, 0, 0)] * (_COLOUR_COUNT - len(palette))]
    literals = range(_LITERAL_COUNT)
    bits = ["0", _code_lengths(8, literals, _GREEN_SYMBOL_COUNT)]
    bits += [_code_lengths(8, literals, _LITERAL_COUNT)] * 2
    # All colours have the alpha 255. The file stores 255 for the first colour, and a difference of
    # 0 for each further one. So the prefix code of alpha has two symbols: 0 and 255.
    bits += ["111", _number(0, 8), _number(255, 8), _ONLY_ZERO]
    before, alpha = (0, 0, 0), "1"
    for colour in padded:
        red, green, blue = (
            f"{(value - old) % 256:08b}" for value, old in zip(colour, before, strict=True)
        )
        bits += [green, red, blue, alpha]
        before, alpha = colour, "0"
    return "".join(bits)


def _pixel_bits(picture: Picture) -> str:
    """
    Encode the cells.

    Each byte holds the colour indexes of two pixels. A cell is two pixels wide, so its byte holds
    the same index twice.
    """
    bits = ["00", _code_lengths(4, range(0, _LITERAL_COUNT, 0x11), _GREEN_SYMBOL_COUNT)]
    bits += [_ONLY_ZERO] * 4
    for start in range(0, len(picture.cells), picture.width):
        row = picture.cells[start : start + picture.width]
        bits += [f"{index:04b}" for index in row] * _CELL_PX
    return "".join(bits)


def _code_lengths(bit_count: int, symbols: Iterable[int], symbol_count: int) -> str:
    """Encode the code lengths of an alphabet: `bit_count` for `symbols`, 0 for all others."""
    # Only two lengths occur: 0 for no code, and `bit_count`. So the file stores each length as one
    # bit.
    order = _LENGTH_ORDER[: _LENGTH_ORDER.index(bit_count) + 1]
    lengths = "".join(_number(int(each in (0, bit_count)), 3) for each in order)
    coded = set(symbols)
    are_coded = "".join(str(int(symbol in coded)) for symbol in range(symbol_count))
    return f"0{_number(len(order) - 4, 4)}{lengths}0{are_coded}"
