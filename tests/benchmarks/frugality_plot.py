"""Draws looks against lateness, a panel a shape. Pure text, for want of a plotting library."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

Point = Sequence[float | None]
Report = Mapping[str, Mapping[str, Mapping[str, Point]]]

_WIDE, _HIGH = 330, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 34, 40
_LOOKS = (0.8, 1000.0)
_LATE = (0.04, 100.0)
_MARKS = {"none": "#c0392b", "honest": "#1e8449"}


def _along(value: float, ends: tuple[float, float], length: float) -> float:
    low, high = (math.log(end) for end in ends)
    return (math.log(min(max(value, ends[0]), ends[1])) - low) / (high - low) * length


def _place(point: Point) -> tuple[float, float]:
    looks, late = point[0] or 0.0, point[1] or 0.0
    across = _LEFT + _along(looks, _LOOKS, _WIDE - _LEFT - _RIGHT)
    return across, _HIGH - _BOTTOM - _along(late, _LATE, _HIGH - _TOP - _BOTTOM)


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _axes(shape: str) -> Iterator[str]:
    width, height = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
    yield _text(_LEFT, 22, shape, 'font-weight="bold"')
    yield f'<rect x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" class="frame"/>'
    for looks in (1, 10, 100, 1000):
        x, _ = _place((looks, 1.0))
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + height}" class="grid"/>'
        yield _text(x, _TOP + height + 14, str(looks), 'text-anchor="middle"')
    for late in (0.1, 1, 10, 100):
        _, y = _place((1.0, late))
        yield f'<line x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        yield _text(_LEFT - 5, y + 4, f"{late:g}", 'text-anchor="end"')
    yield _text(_LEFT + width / 2, _HIGH - 8, "looks a ticket", 'text-anchor="middle"')
    middle = _TOP + height / 2
    turned = f'text-anchor="middle" transform="rotate(-90 12 {middle})"'
    yield _text(12, middle, "seconds late", turned)


def _panel(shape: str, groups: Mapping[str, Mapping[str, Point]]) -> Iterator[str]:
    yield from _axes(shape)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(_place, groups["best"].values()))
    yield f'<polyline points="{path}" class="best"/>'
    for number, point in enumerate(groups["peers"].values(), 1):
        x, y = _place(point)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" class="peer"/>'
        yield _text(x, y + 3.5, str(number), 'text-anchor="middle" class="number"')
    for eta, colour in _MARKS.items():
        x, y = _place(groups["ours"][eta])
        yield f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>'


def _legend(groups: Mapping[str, Mapping[str, Point]]) -> Iterator[str]:
    for number, peer in enumerate(groups["peers"], 1):
        yield _text(30, 40 + 20 * number, f"{number}  {peer}")
    row = 60 + 20 * len(groups["peers"])
    for eta, colour in _MARKS.items():
        yield f'<rect x="28" y="{row - 9}" width="10" height="10" fill="{colour}"/>'
        yield _text(46, row, f"ours, eta: {eta}")
        row += 20
    yield f'<polyline points="26,{row - 4} 40,{row - 4}" class="best"/>'
    yield _text(46, row, "best for a known shape, without eta")


def drawn(report: Report) -> str:
    """The whole picture, three panels in a row."""
    panels = [list(_panel(shape, groups)) for shape, groups in report.items()]
    panels.append(list(_legend(next(iter(report.values())))))
    rows = math.ceil(len(panels) / 3)
    style = (
        "text{font:11px sans-serif;fill:#333}.frame{fill:none;stroke:#999}.grid{stroke:#eee}"
        ".peer{fill:#fff;stroke:#555}.number{font-size:9px}"
        ".best{fill:none;stroke:#2e86c1;stroke-width:1.5;stroke-dasharray:4 3}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * _WIDE} {rows * _HIGH}">',
        f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, panel in enumerate(panels):
        down, across = divmod(place, 3)
        parts += [f'<g transform="translate({across * _WIDE} {down * _HIGH})">', *panel, "</g>"]
    return "\n".join([*parts, "</svg>", ""])
