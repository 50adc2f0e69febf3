"""Draws settled tickets a second against connections, and where the time of a ticket goes."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from plot import Axis, Panel, picture, text

Record = Mapping[str, Any]

_COUNTS = {1: "1", 4: "4", 16: "16", 64: "64", 256: "256", 1000: "1k"}
_ACROSS = Axis("connections", (0.9, 1200.0), {float(n): mark for n, mark in _COUNTS.items()})
_RATES = {100: "100", 300: "300", 1000: "1k", 3000: "3k", 10_000: "10k", 30_000: "30k"}
_UP = Axis("settled tickets a second", (90.0, 50_000.0), {float(n): m for n, m in _RATES.items()})
_COLOURS = {
    "pyreqwest": "#8e44ad",
    "stream": "#1e8449",
    "modelslab-py": "#d68910",
    "aiohttp": "#2e86c1",
    "stream, h11": "#58d68d",
    "httpx": "#c0392b",
}
_LEFT, _WIDE, _ROW = 150, 120, 24


def _points(record: Record, client: str) -> list[tuple[float, float]]:
    usual = record["rates"]["cases"][0]
    found = [
        (float(case["connections"]), median(case["rate"]))
        for case in record["rates"]["cases"]
        if case["client"] == client
        and case["server"] == "settled"
        and (case["loop"], case["python"]) == (usual["loop"], usual["python"])
    ]
    return sorted(found)


def _rates(record: Record) -> Iterator[str]:
    panel = Panel("over the number of connections", _ACROSS, _UP)
    yield from panel.frame()
    for client, colour in _COLOURS.items():
        points = _points(record, client)
        kind = client.replace(", ", "-")
        yield panel.line(points, f'line" stroke="{colour}')
        for point in points:
            x, y = panel.position(*point)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" class="{kind}"/>'


def _legend(record: Record) -> Iterator[str]:
    def most(client: str) -> float:
        return max((rate for _, rate in _points(record, client)), default=0.0)

    for row, client in enumerate(sorted(_COLOURS, key=most, reverse=True)):
        y = 50 + _ROW * row
        yield f'<rect x="28" y="{y - 9}" width="10" height="10" fill="{_COLOURS[client]}"/>'
        yield text(46, y, f"Client.{client}" if client.startswith("stream") else client)


def rates_picture(record: Record) -> str:
    """Draw settled tickets a second against connections, one line a client."""
    panels = [list(_rates(record)), list(_legend(record))]
    return picture(panels, ".line{fill:none;stroke-width:1.5}", columns=2)


def _bars(shares: Mapping[str, float]) -> Iterator[str]:
    most = max(shares.values())
    yield text(12, 22, "the CPU time of one settled ticket", 'font-weight="bold"')
    for row, (layer, share) in enumerate(shares.items()):
        y = 50 + _ROW * row
        yield text(_LEFT - 6, y, layer, 'text-anchor="end"')
        length = share / most * _WIDE
        yield f'<rect x="{_LEFT}" y="{y - 11}" width="{length:.1f}" height="14" class="bar"/>'
        yield text(_LEFT + length + 6, y, f"{share:.0%}")


def layers_picture(record: Record) -> str:
    """Draw a bar for each layer, from the socket to the outcome."""
    shares = {layer: share for layer, share in record["layers"].items() if share >= 0.005}
    return picture([list(_bars(shares))], ".bar{fill:#1e8449}", columns=1)
