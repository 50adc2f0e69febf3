"""
Draws the record of a long run on PostgreSQL: the tickets a second and the time of a claim.

    python tests/benchmarks/postgres_scale_plot.py RECORD.json PICTURE.svg
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plot import Axis, Panel, picture
from plot_command import draw_record

_STYLE = ".found{fill:none;stroke:#1e8449;stroke-width:1.5}"
_MARKS_OF_AN_AXIS = 4


def linear_axis(title: str, top: float) -> Axis:
    """Return an axis from 0 to a value, with some round marks."""
    step = top / _MARKS_OF_AN_AXIS
    digit = 10.0 ** math.floor(math.log10(step))
    step = next(digit * each for each in (1, 2, 2.5, 5, 10) if digit * each >= step)
    marks = {n * step: f"{n * step:g}" for n in range(_MARKS_OF_AN_AXIS + 1)}
    return Axis(title, (0.0, step * _MARKS_OF_AN_AXIS), marks, scale=float)


def drawn(record: Mapping[str, Any]) -> str:
    """Draw the picture: two panels in a row."""
    slices = [(claimed / 1e6, rate / 1e3, ms) for claimed, rate, ms in record["slices"]]
    across = linear_axis("million tickets polled", record["tickets"] / 1e6)
    rates = [(claimed, rate) for claimed, rate, _ in slices]
    claims = [(claimed, ms) for claimed, _, ms in slices]
    panels = [
        ("polled and completed", "thousand tickets a second", rates),
        ("a claim of 500 tickets", "ms, median", claims),
    ]
    return picture(
        [list(_panel(title, up, across, points)) for title, up, points in panels],
        _STYLE,
        columns=2,
    )


def _panel(
    title: str, up: str, across: Axis, points: Sequence[tuple[float, float]]
) -> Iterator[str]:
    panel = Panel(title, across, linear_axis(up, max(value for _, value in points)))
    yield from panel.frame()
    yield panel.line(points, "found")


if __name__ == "__main__":
    draw_record(__doc__.splitlines()[1], "postgres_scale.py", drawn)
