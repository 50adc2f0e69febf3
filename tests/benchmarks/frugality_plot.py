"""Draws polls against lateness, one panel per shape. Computes no figures."""

from collections.abc import Iterator, Mapping, Sequence

from plot import Axis, Panel, picture, text

Point = Sequence[float | None]
Report = Mapping[str, Mapping[str, Mapping[str, Point]]]

_POLLS = Axis("polls per ticket", (0.8, 1000.0), {n: str(n) for n in (1, 10, 100, 1000)})
_LATE = Axis("seconds late", (0.04, 100.0), {n: f"{n:g}" for n in (0.1, 1, 10, 100)})
_MARKS = {"none": "#c0392b", "honest": "#1e8449"}
_STYLE = (
    ".peer{fill:#fff;stroke:#555}.number{font-size:9px}"
    ".best{fill:none;stroke:#2e86c1;stroke-width:1.5;stroke-dasharray:4 3}"
)


def _point(figures: Point) -> tuple[float, float]:
    return figures[0] or 0.0, figures[1] or 0.0


def _panel(shape: str, groups: Mapping[str, Mapping[str, Point]]) -> Iterator[str]:
    panel = Panel(shape, _POLLS, _LATE)
    yield from panel.frame()
    yield panel.line([_point(figures) for figures in groups["best"].values()], "best")
    for number, figures in enumerate(groups["peers"].values(), 1):
        x, y = panel.position(*_point(figures))
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" class="peer"/>'
        yield text(x, y + 3.5, str(number), 'text-anchor="middle" class="number"')
    for eta, colour in _MARKS.items():
        x, y = panel.position(*_point(groups["ours"][eta]))
        yield f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>'


def _legend(groups: Mapping[str, Mapping[str, Point]]) -> Iterator[str]:
    for number, peer in enumerate(groups["peers"], 1):
        yield text(30, 40 + 20 * number, f"{number}  {peer}")
    row = 60 + 20 * len(groups["peers"])
    for eta, colour in _MARKS.items():
        yield f'<rect x="28" y="{row - 9}" width="10" height="10" fill="{colour}"/>'
        yield text(46, row, f"ours, eta: {eta}")
        row += 20
    yield f'<polyline points="26,{row - 4} 40,{row - 4}" class="best"/>'
    yield text(46, row, "best rule for a known shape, without eta")


def draw(report: Report) -> str:
    """The whole picture, with three panels in each row."""
    panels = [list(_panel(shape, groups)) for shape, groups in report.items()]
    panels.append(list(_legend(next(iter(report.values())))))
    return picture(panels, _STYLE, columns=3)
