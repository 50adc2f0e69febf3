"""Draws panels of points as SVG text, without a plotting library. Writes no file."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

_WIDE, _HIGH = 330, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 34, 40
_STYLE = "text{font:11px sans-serif;fill:#333}.frame{fill:none;stroke:#999}.grid{stroke:#eee}"


class Axis(NamedTuple):
    """One axis of a panel: its title, its ends, and the labels of some values."""

    title: str
    ends: tuple[float, float]
    marks: Mapping[float, str]
    scale: Callable[[float], float] = math.log

    def along(self, value: float, length: float) -> float:
        """The distance of a value from the low end. A value beyond an end is drawn at that end."""
        low, high = map(self.scale, self.ends)
        within = min(max(value, self.ends[0]), self.ends[1])
        return (self.scale(within) - low) / (high - low) * length


class Panel(NamedTuple):
    """A frame with two axes, for points and lines."""

    title: str
    across: Axis
    up: Axis

    def position(self, across: float, up: float) -> tuple[float, float]:
        """The position of a point in pixels."""
        x = _LEFT + self.across.along(across, _WIDE - _LEFT - _RIGHT)
        return x, _HIGH - _BOTTOM - self.up.along(up, _HIGH - _TOP - _BOTTOM)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.position(*point) for point in points))
        return f'<polyline points="{path}" class="{kind}"/>'

    def frame(self) -> Iterator[str]:
        """The title, the frame, the grid and the labels."""
        width, height = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
        right, foot = _LEFT + width, _TOP + height
        yield text(_LEFT, 22, self.title, 'font-weight="bold"')
        yield f'<rect x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" class="frame"/>'
        for value, mark in self.across.marks.items():
            x, _ = self.position(value, self.up.ends[0])
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{foot}" class="grid"/>'
            yield text(x, foot + 14, mark, 'text-anchor="middle"')
        for value, mark in self.up.marks.items():
            _, y = self.position(self.across.ends[0], value)
            yield f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            yield text(_LEFT - 5, y + 4, mark, 'text-anchor="end"')
        yield text(_LEFT + width / 2, _HIGH - 8, self.across.title, 'text-anchor="middle"')
        middle = _TOP + height / 2
        turned = f'text-anchor="middle" transform="rotate(-90 12 {middle})"'
        yield text(12, middle, self.up.title, turned)


def text(x: float, y: float, words: str, more: str = "") -> str:
    """A text element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def picture(panels: Sequence[Sequence[str]], style: str, *, columns: int) -> str:
    """The whole picture, with a number of panels in each row."""
    rows = math.ceil(len(panels) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * _WIDE} {rows * _HIGH}">',
        f'<style>{_STYLE}{style}</style><rect width="100%" height="100%" fill="#fff"/>',
    ]
    for index, panel in enumerate(panels):
        down, across = divmod(index, columns)
        parts += [f'<g transform="translate({across * _WIDE} {down * _HIGH})">', *panel, "</g>"]
    return "\n".join([*parts, "</svg>", ""])
