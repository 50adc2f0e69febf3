"""Draws numbers as plots in inline SVG. Escapes every text in a plot."""

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
# A histogram shows the largest one percent of the values in one bar. Otherwise, a few very large
# values would make all other bars narrow.
_TAIL_QUANTILE: Final = 0.99
_ROW_HEIGHT: Final = 26
_MAX_LABEL_CHARS: Final = 90
# Numbers from 1000 on are shown without decimals.
_MIN_WITHOUT_FRACTION: Final = 1000


def nice_step(span: float, count: int) -> float:
    """
    Return the smallest round step such that `count` steps cover an axis of length `span`.

    A round step is 1, 2 or 5 times a power of ten.
    """
    if span <= 0:
        return 1.0
    power = 10.0 ** floor(log10(span / count))
    return next(step for n in (1, 2, 5, 10) if (step := n * power) * count >= span)


def histogram(values: Sequence[float], unit: str) -> str:
    """Draw a histogram. Its last bar holds all values that are far above the others."""
    ordered = sorted(values)
    tail_start = ordered[min(len(ordered) - 1, int(_TAIL_QUANTILE * len(ordered)))]
    step = nice_step(tail_start, _BINS)
    if unit == "":
        step = max(1.0, step)
    bins = max(1, floor(tail_start / step) + 1)
    edges = [number * step for number in range(bins + 1)]
    positions = [bisect_left(ordered, edge) for edge in edges]
    counts = [after - before for before, after in pairwise(positions)]
    tail_count = len(ordered) - positions[-1]
    max_count, columns = max(*counts, tail_count, 1), bins + (2 if tail_count else 0)
    width = (_WIDTH - _LEFT - _RIGHT) / columns
    body = [*_grid(max_count)]
    for number, count in enumerate(counts):
        low, high = _format_number(edges[number]), _format_number(edges[number + 1])
        tooltip = f"{low} to {high} {unit}: {count:,}"
        body.append(_bar(number * width, width, count / max_count, tooltip))
    if tail_count:
        tooltip = f"{_format_number(edges[-1])} {unit} and more: {tail_count:,}"
        body.append(_bar((columns - 1) * width, width, tail_count / max_count, tooltip, "tail"))
        body.append(_text(_WIDTH - _RIGHT, _HEIGHT - 24, "more", "end"))
    body += [
        _text(_LEFT + tick / step * width, _HEIGHT - 24, _format_number(tick))
        for tick in _ticks(edges[-1])
        # The last bar has the label "more". Numbers that would overlap this label are left out.
        if not tail_count or tick <= edges[-2]
    ]
    body.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, unit))
    return _svg(body, _HEIGHT)


def timeline(series: Sequence[tuple[str, str, Sequence[float]]]) -> str:
    """
    Draw a rising line for each series of times.

    At each moment, the line shows how many of the series' times have passed.

    Args:
        series: For each series its name, its CSS class, and its times in seconds, in ascending
            order.
    """
    max_time = max((times[-1] for _, _, times in series if times), default=0.0) or 1.0
    max_count = max(1, *(len(times) for _, _, times in series))
    scale, unit = _time_unit(max_time)
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    body = [*_grid(max_count)]
    body += [
        _text(_LEFT + tick * scale / max_time * plot_width, _HEIGHT - 24, _format_number(tick))
        for tick in _ticks(max_time / scale)
    ]
    body.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, unit))
    names: list[str] = []
    for name, style, times in series:
        points = [(0.0, 0.0), *((at, bisect_left(times, at)) for at in _sample_times(max_time))]
        path = " ".join(
            f"{_LEFT + at / max_time * plot_width:.1f},"
            f"{_TOP + plot_height * (1 - count / max_count):.1f}"
            for at, count in [*points, (max_time, len(times))]
        )
        body.append(f'<polyline class="{style}" points="{path}"/>')
        names.append(f'<tspan class="{style}" dx="8">{escape(name)}: {len(times):,}</tspan>')
    legend = f'<text x="{_LEFT - 8}" y="14">{"".join(names)}</text>'
    return _svg(
        [legend, f'<g transform="translate(0,{_ROW_HEIGHT})">', *body, "</g>"],
        _HEIGHT + _ROW_HEIGHT,
    )


def bars(rows: Sequence[tuple[str, int]]) -> str:
    """Draw a horizontal bar for each count, with the name of the count."""
    max_count = max(count for _, count in rows)
    plot_width = _WIDTH - _LEFT - _RIGHT
    body: list[str] = []
    for number, (name, count) in enumerate(rows):
        top = number * 2 * _ROW_HEIGHT
        label = name if len(name) <= _MAX_LABEL_CHARS else f"{name[:_MAX_LABEL_CHARS]}..."
        body.append(_text(_LEFT - 8, top + _ROW_HEIGHT + 14, f"{count:,}", "end"))
        body.append(f"<g>{_text(_LEFT, top + 18, label, 'start')}<title>{escape(name)}</title></g>")
        body.append(
            f'<rect class="bad" x="{_LEFT}" y="{top + _ROW_HEIGHT}" height="{_ROW_HEIGHT - 8}" '
            f'width="{max(1.0, count / max_count * plot_width):.1f}"/>'
        )
    return _svg(body, 2 * _ROW_HEIGHT * len(rows))


def _sample_times(max_time: float) -> Iterator[float]:
    yield from (max_time * number / 200 for number in range(1, 200))


def _grid(max_count: int) -> Iterator[str]:
    plot_height = _HEIGHT - _TOP - _BOTTOM
    step = max(1, ceil(nice_step(max_count, 4)))
    for count in range(0, max_count + 1, step):
        y = _TOP + plot_height * (1 - count / max_count)
        x = _WIDTH - _RIGHT
        yield f'<line class="grid" x1="{_LEFT}" x2="{x}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 8, y + 4, f"{count:,}", "end")


def _bar(left: float, width: float, share: float, tooltip: str, style: str = "bar") -> str:
    plot_height = _HEIGHT - _TOP - _BOTTOM
    return (
        f'<rect class="{style}" x="{_LEFT + left + 0.5:.1f}" '
        f'y="{_TOP + plot_height * (1 - share):.1f}" '
        f'width="{max(1.0, width - 1):.1f}" height="{plot_height * share:.1f}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def _ticks(end: float) -> Iterator[float]:
    step = nice_step(end, _TICKS)
    yield from (number * step for number in range(int(end / step + 1e-9) + 1))


def _time_unit(max_time: float) -> tuple[float, str]:
    units = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
    found = next(((scale, name) for scale, name in units if max_time >= 3 * scale), None)
    scale, name = found or (1.0, "seconds")
    return scale, f"{name} since the first ticket was added"


def _format_number(value: float) -> str:
    return f"{value:,.6g}" if value < _MIN_WITHOUT_FRACTION else f"{value:,.0f}"


def _text(x: float, y: float, label: str, anchor: str = "middle", style: str = "") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(label)}</text>"
    )


def _svg(body: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(body)}</svg>'
