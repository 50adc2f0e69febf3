"""Report plots: a few numbers as inline SVG. Every text in them is escaped."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

_WIDTH: Final = 640
_HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 40
_BINS: Final = 32
_TICKS: Final = 5
# Beyond this share of the values a tail is told in one bar.
_BULK: Final = 0.99
_ROW: Final = 26
_LONGEST: Final = 90
# From here on numbers have no fractions.
_LARGE: Final = 1000


def step_of(span: float, count: int) -> float:
    """The least of 1, 2 and 5, times a power of ten, that covers a span in so many steps."""
    if span <= 0:
        return 1.0
    power = 10.0 ** floor(log10(span / count))
    return next(step for n in (1, 2, 5, 10) if (step := n * power) * count >= span)


def histogram(values: Sequence[float], unit: str) -> str:
    """How often which value occurs; the last bar holds whatever is far out."""
    ordered = sorted(values)
    bulk = ordered[min(len(ordered) - 1, int(_BULK * len(ordered)))]
    step = step_of(bulk, _BINS)
    if unit == "":
        step = max(1.0, step)
    bins = max(1, floor(bulk / step) + 1)
    edges = [number * step for number in range(bins + 1)]
    places = [bisect_left(ordered, edge) for edge in edges]
    counts = [after - before for before, after in pairwise(places)]
    beyond = len(ordered) - places[-1]
    most, slots = max(*counts, beyond, 1), bins + (2 if beyond else 0)
    width = (_WIDTH - _LEFT - _RIGHT) / slots
    body = [*_grid(most)]
    for number, count in enumerate(counts):
        told = f"{_number(edges[number])} to {_number(edges[number + 1])} {unit}: {count:,}"
        body.append(_bar(number * width, width, count / most, told))
    if beyond:
        told = f"{_number(edges[-1])} {unit} and more: {beyond:,}"
        body.append(_bar((slots - 1) * width, width, beyond / most, told, "tail"))
        body.append(_text(_WIDTH - _RIGHT, _HEIGHT - 24, "more", "end"))
    body += [
        _text(_LEFT + tick / step * width, _HEIGHT - 24, _number(tick))
        for tick in _ticks(edges[-1])
        # The last bar has its own word below it.
        if not beyond or tick <= edges[-2]
    ]
    body.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, unit))
    return _svg(body, _HEIGHT)


def timeline(series: Sequence[tuple[str, str, Sequence[float]]]) -> str:
    """
    How many there were until when.

    Args:
        series: A name, a class of style, and the moments in seconds, in their order.
    """
    longest = max((moments[-1] for _, _, moments in series if moments), default=0.0) or 1.0
    most = max(1, *(len(moments) for _, _, moments in series))
    scale, unit = _time_unit(longest)
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    body = [*_grid(most)]
    body += [
        _text(_LEFT + tick * scale / longest * across, _HEIGHT - 24, _number(tick))
        for tick in _ticks(longest / scale)
    ]
    body.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, unit))
    names: list[str] = []
    for name, style, moments in series:
        points = [(0.0, 0.0), *((at, bisect_left(moments, at)) for at in _sampled(longest))]
        path = " ".join(
            f"{_LEFT + at / longest * across:.1f},{_TOP + down * (1 - count / most):.1f}"
            for at, count in [*points, (longest, len(moments))]
        )
        body.append(f'<polyline class="{style}" points="{path}"/>')
        names.append(f'<tspan class="{style}" dx="8">{escape(name)}: {len(moments):,}</tspan>')
    legend = f'<text x="{_LEFT - 8}" y="14">{"".join(names)}</text>'
    return _svg([legend, f'<g transform="translate(0,{_ROW})">', *body, "</g>"], _HEIGHT + _ROW)


def bars(rows: Sequence[tuple[str, int]]) -> str:
    """Counts with their names, the largest first."""
    most = max(count for _, count in rows)
    across = _WIDTH - _LEFT - _RIGHT
    body: list[str] = []
    for number, (name, count) in enumerate(rows):
        top = number * 2 * _ROW
        words = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        body.append(_text(_LEFT - 8, top + _ROW + 14, f"{count:,}", "end"))
        body.append(f"<g>{_text(_LEFT, top + 18, words, 'start')}<title>{escape(name)}</title></g>")
        body.append(
            f'<rect class="bad" x="{_LEFT}" y="{top + _ROW}" height="{_ROW - 8}" '
            f'width="{max(1.0, count / most * across):.1f}"/>'
        )
    return _svg(body, 2 * _ROW * len(rows))


def _sampled(longest: float) -> Iterator[float]:
    yield from (longest * number / 200 for number in range(1, 200))


def _grid(most: int) -> Iterator[str]:
    down = _HEIGHT - _TOP - _BOTTOM
    step = max(1, ceil(step_of(most, 4)))
    for count in range(0, most + 1, step):
        y = _TOP + down * (1 - count / most)
        x = _WIDTH - _RIGHT
        yield f'<line class="grid" x1="{_LEFT}" x2="{x}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 8, y + 4, f"{count:,}", "end")


def _bar(left: float, width: float, share: float, told: str, style: str = "bar") -> str:
    down = _HEIGHT - _TOP - _BOTTOM
    return (
        f'<rect class="{style}" x="{_LEFT + left + 0.5:.1f}" y="{_TOP + down * (1 - share):.1f}" '
        f'width="{max(1.0, width - 1):.1f}" height="{down * share:.1f}">'
        f"<title>{escape(told)}</title></rect>"
    )


def _ticks(end: float) -> Iterator[float]:
    step = step_of(end, _TICKS)
    yield from (number * step for number in range(int(end / step + 1e-9) + 1))


def _time_unit(longest: float) -> tuple[float, str]:
    units = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
    found = next(((scale, name) for scale, name in units if longest >= 3 * scale), None)
    scale, name = found or (1.0, "seconds")
    return scale, f"{name} since the first ticket was added"


def _number(value: float) -> str:
    return f"{value:,.6g}" if value < _LARGE else f"{value:,.0f}"


def _text(x: float, y: float, words: str, anchor: str = "middle", style: str = "") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _svg(body: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(body)}</svg>'
