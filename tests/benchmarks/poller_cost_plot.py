"""
Draws the CPU of a poll and the memory of an open ticket against the number of open tickets.

    python tests/benchmarks/poller_cost_plot.py poller_cost.json poller_cost.svg

The first file is what `poller_cost.py --save` wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plot import Axis, Panel, picture
from plot_command import draw_record

Point = tuple[float, float]

# The CPU at all other counts is drawn relative to this one.
REFERENCE_COUNT = 1000
_SIZES = {1: "1", 10: "10", 100: "100", 1000: "1k", 10_000: "10k", 100_000: "100k", 10**6: "1M"}
_OPEN = Axis("open tickets", (0.7, 1.5e6), _SIZES)
_RELATIVE_CPU = Axis(
    "CPU, relative to a thousand", (0.5, 16.0), {n: f"{n:g}" for n in (0.5, 1, 2, 4, 8, 16)}
)
_LEAST_WEIGHED = {size: mark for size, mark in _SIZES.items() if size >= REFERENCE_COUNT}
_MANY_OPEN = Axis("open tickets", (700.0, 1.5e6), _LEAST_WEIGHED)
_STYLE = ".found{fill:none;stroke:#1e8449;stroke-width:1.5}.point{fill:#1e8449}"


def relative_cpu(figures: Mapping[int, Mapping[str, Any]]) -> list[Point]:
    """Return the CPU of a poll at each count, relative to that at a thousand open tickets."""
    if REFERENCE_COUNT not in figures:
        raise SystemExit(
            f"the CPU is drawn relative to {REFERENCE_COUNT} tickets: measure that with --open too"
        )
    reference = figures[REFERENCE_COUNT]["above"]
    return [(size, found["above"] / reference) for size, found in figures.items()]


def weights(figures: Mapping[int, Mapping[str, Any]]) -> list[Point]:
    """Return the bytes of an open ticket at each count, where they are known."""
    return [
        (size, found["bytes_each"])
        for size, found in figures.items()
        if found["bytes_each"] is not None
    ]


def _bytes_axis(most: float) -> Axis:
    """Make an axis of bytes from 0 up, with a few marks."""
    step = 250 if most <= 1500 else 1000
    top = (int(most) // step + 1) * step
    marks = {float(each): str(each) for each in range(0, top + 1, step)}
    return Axis("bytes an open ticket", (0.0, float(top)), marks, scale=float)


def _drawn(panel: Panel, points: Sequence[Point]) -> Iterator[str]:
    yield from panel.frame()
    yield panel.line(points, "found")
    for point in points:
        x, y = panel.position(*point)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="point"/>'


def drawn(record: Mapping[str, Any]) -> str:
    """Draw the picture: two panels in a row."""
    figures = {int(size): found for size, found in sorted(record["figures"].items(), key=_size)}
    weighed = weights(figures)
    most = max((weight for _, weight in weighed), default=0.0)
    panels = [
        (Panel("a poll, above the transport", _OPEN, _RELATIVE_CPU), relative_cpu(figures)),
        (Panel("memory", _MANY_OPEN, _bytes_axis(most)), weighed),
    ]
    return picture([list(_drawn(*each)) for each in panels], _STYLE, columns=2)


def _size(item: tuple[str, object]) -> int:
    return int(item[0])


if __name__ == "__main__":
    draw_record(__doc__.splitlines()[1], "poller_cost.py", drawn)
