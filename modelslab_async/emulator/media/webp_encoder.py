"""Encodes pictures as lossless WebP without an image library. Reads no images."""

import struct
from collections.abc import Iterable

from .pictures import Colour, Picture

_CELL_PX = 2
_COLOUR_COUNT = 16
_LITERAL_COUNT = 256
# The symbols of green are followed by those of the lengths of copies, which this encoder never
# makes.
_GREEN_SYMBOL_COUNT = _LITERAL_COUNT + 24
# In this order, the format lists how long the codes of code lengths are.
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
# The prefix code whose only symbol is 0. Its symbol takes no bits in the data.
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
            # One transform: pixels are numbers of colours.
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
    """Return the bits of a number. Its lowest bit comes first, unlike that of a code."""
    return f"{value:0{bit_count}b}"[::-1]


def _palette_bits(palette: tuple[Colour, ...]) -> str:
    """Encode the colours as a row of pixels, each as its difference from the one before it."""
    padded = [*palette, *[(0, 0, 0)] * (_COLOUR_COUNT - len(palette))]
    literals = range(_LITERAL_COUNT)
    bits = ["0", _code_lengths(8, literals, _GREEN_SYMBOL_COUNT)]
    bits += [_code_lengths(8, literals, _LITERAL_COUNT)] * 2
    # The first colour is opaque, and the others differ by nothing in that. So the code of alpha
    # has the symbols 0 and 255.
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
    """Encode the cells. A byte holds two pixels of a row: one cell, whose number is in it twice."""
    bits = ["00", _code_lengths(4, range(0, _LITERAL_COUNT, 0x11), _GREEN_SYMBOL_COUNT)]
    bits += [_ONLY_ZERO] * 4
    for start in range(0, len(picture.cells), picture.width):
        row = picture.cells[start : start + picture.width]
        bits += [f"{index:04b}" for index in row] * _CELL_PX
    return "".join(bits)


def _code_lengths(bit_count: int, symbols: Iterable[int], symbol_count: int) -> str:
    """Describe a code in which these symbols have codes of this many bits, in rising order."""
    # The code lengths themselves are coded: 0 as the bit 0, and the other one as the bit 1.
    order = _LENGTH_ORDER[: _LENGTH_ORDER.index(bit_count) + 1]
    lengths = "".join(_number(int(each in (0, bit_count)), 3) for each in order)
    coded = set(symbols)
    are_coded = "".join(str(int(symbol in coded)) for symbol in range(symbol_count))
    return f"0{_number(len(order) - 4, 4)}{lengths}0{are_coded}"
