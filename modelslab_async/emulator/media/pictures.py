"""Draws pictures as grids of coloured cells. A picture is one plain colour, or a landscape."""

import colorsys
import math
import zlib
from textwrap import wrap

from attrs import frozen

from .caption_font import GLYPH_HEIGHT, GLYPH_WIDTH, glyph, to_font_characters

Colour = tuple[int, int, int]

_PLAIN_SIDE = 4
_WIDTH, _HEIGHT = 96, 64
_SKY_BANDS = 8
_SUN, _FAR_HILLS, _NEAR_HILLS, _SHADOW, _TEXT = range(_SKY_BANDS, _SKY_BANDS + 5)
_SUN_RADIUS = 9
_LINE_HEIGHT = GLYPH_HEIGHT + 2
_LINE_LENGTH = _WIDTH // (GLYPH_WIDTH + 1)
_MAX_LINES = 5
_BOTTOM_MARGIN = 4


@frozen
class Picture:
    """
    A grid of coloured cells.

    Args:
        width: The number of columns.
        height: The number of rows.
        palette: The colours, at most 16.
        cells: The index of each cell's colour, row by row from the top.
    """

    width: int
    height: int
    palette: tuple[Colour, ...]
    cells: bytes


def draw(name: str, caption: str) -> Picture:
    """Draw a landscape with this caption, or one plain colour if the caption is empty."""
    seed = zlib.crc32(name.encode())
    if not caption.strip():
        colour = (seed >> 24, seed >> 16 & 0xFF, seed >> 8 & 0xFF)
        return Picture(_PLAIN_SIDE, _PLAIN_SIDE, (colour,), bytes(_PLAIN_SIDE**2))
    grid = _landscape(seed)
    lines = _lines(caption)
    top = _HEIGHT - _BOTTOM_MARGIN - _LINE_HEIGHT * len(lines)
    for offset, colour_index in ((1, _SHADOW), (0, _TEXT)):
        for number, line in enumerate(lines):
            left = (_WIDTH - (GLYPH_WIDTH + 1) * len(line)) // 2
            _write(grid, line, left + offset, top + number * _LINE_HEIGHT + offset, colour_index)
    return Picture(_WIDTH, _HEIGHT, _palette(seed), b"".join(grid))


def _palette(seed: int) -> tuple[Colour, ...]:
    hue = seed % 360 / 360
    sky = [
        _colour(hue + 0.12 * band / _SKY_BANDS, 0.65 - 0.04 * band, 0.45 + 0.06 * band)
        for band in range(_SKY_BANDS)
    ]
    sun = _colour(hue + 0.5, 0.35, 1.0)
    hills = (_colour(hue + 0.3, 0.45, 0.45), _colour(hue + 0.33, 0.5, 0.3))
    return (*sky, sun, *hills, (16, 16, 24), (250, 250, 245))


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _landscape(seed: int) -> list[bytearray]:
    """Return the rows of a sky with a sun above two chains of hills."""
    sun_x, sun_y = 12 + seed % (_WIDTH - 24), 12 + (seed >> 8) % 8
    far, near = (seed >> 12) % 7, (seed >> 16) % 7
    grid = [bytearray([row * _SKY_BANDS // _HEIGHT]) * _WIDTH for row in range(_HEIGHT)]
    for column in range(_WIDTH):
        far_top = 34 + round(5 * math.sin(column / 11 + far))
        near_top = 46 + round(6 * math.sin(column / 17 + near))
        for row in range(_HEIGHT):
            if row >= near_top:
                grid[row][column] = _NEAR_HILLS
            elif row >= far_top:
                grid[row][column] = _FAR_HILLS
            elif (column - sun_x) ** 2 + (row - sun_y) ** 2 <= _SUN_RADIUS**2:
                grid[row][column] = _SUN
    return grid


def _lines(caption: str) -> list[str]:
    lines = wrap(to_font_characters(caption[: 2 * _MAX_LINES * _LINE_LENGTH]), _LINE_LENGTH)
    if len(lines) <= _MAX_LINES:
        return lines
    return [*lines[: _MAX_LINES - 1], f"{lines[_MAX_LINES - 1][: _LINE_LENGTH - 3]}..."]


def _write(grid: list[bytearray], line: str, left: int, top: int, colour_index: int) -> None:
    for sign in line:
        for row, bits in enumerate(glyph(sign), top):
            for column in range(GLYPH_WIDTH):
                if bits >> (GLYPH_WIDTH - 1 - column) & 1:
                    grid[row][left + column] = colour_index
        left += GLYPH_WIDTH + 1
