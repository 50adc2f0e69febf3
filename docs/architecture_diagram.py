"""
Draws the layers of the package from its imports; never imports the package.

`python docs/architecture_diagram.py` renews the picture. The suite fails while it is out of date.
"""

import ast
from functools import cache
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "modelslab_async"
PICTURE = Path(__file__).parent / "_static" / "architecture.svg"
# The emulator imports almost nothing of the package, and only the command line imports it.
_LEFT_OUT = {"__main__", "emulator"}
_LABELS = {"__init__": "(public names)"}
_BOX_WIDTH, _BOX_HEIGHT = 118, 30
_COLUMN_WIDTH, _ROW_HEIGHT = 146, 74
_MARGIN = 20
_STYLE = (
    "text{font:13px sans-serif;text-anchor:middle;dominant-baseline:central}"
    "rect{fill:#f4f6fb;stroke:#46567a}path{fill:none;stroke:#8a97b5}"
)


def folder_imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """The folders and root modules of the package, each with those that it imports."""
    members = {path.stem for path in package.iterdir()} - _LEFT_OUT
    imports: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found = imports.setdefault(parts[1], set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                module = [*parts[: -node.level], *(node.module or "").split(".")]
                names = module[1:2] if module[1] else [alias.name for alias in node.names]
                found.update(name if name in members else "__init__" for name in names)
    return {name: (imports[name] & members) - {name} for name in imports if name in members}


def layers(imports: dict[str, set[str]]) -> list[list[str]]:
    """The folders by height: each stands above all that it imports."""

    @cache
    def height(name: str) -> int:
        return 1 + max(map(height, imports[name]), default=-1)

    rows: list[list[str]] = [[] for _ in range(1 + max(map(height, imports)))]
    for name in sorted(imports):
        rows[height(name)].append(name)
    return rows[::-1]


def direct_imports(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that no longer path replaces, so that the picture stays readable."""

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(imports[name]).union(*map(below, imports[name]))

    return [
        (name, other)
        for name in sorted(imports)
        for other in sorted(imports[name])
        if not any(other in below(between) for between in imports[name] - {other})
    ]


def draw(imports: dict[str, set[str]]) -> str:
    """The layers as the text of an SVG."""
    rows = layers(imports)
    widest = max(map(len, rows))
    width = 2 * _MARGIN + widest * _COLUMN_WIDTH
    height = 2 * _MARGIN + len(rows) * _ROW_HEIGHT
    centers = {
        name: (
            width / 2 + (column - (len(row) - 1) / 2) * _COLUMN_WIDTH,
            _MARGIN + _ROW_HEIGHT * (number + 0.5),
        )
        for number, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    arrows = []
    for name, other in direct_imports(imports):
        (x, y), (to_x, to_y) = centers[name], centers[other]
        y, to_y = y + _BOX_HEIGHT / 2, to_y - _BOX_HEIGHT / 2
        middle = (y + to_y) / 2
        curve = f"M{x:g} {y:g}C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"
        arrows.append(f'<path d="{curve}" marker-end="url(#tip)"/>')
    boxes = [
        f'<rect x="{x - _BOX_WIDTH / 2:g}" y="{y - _BOX_HEIGHT / 2:g}" '
        f'width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5"/>'
        f'<text x="{x:g}" y="{y:g}">{escape(_LABELS.get(name, name))}</text>'
        for name, (x, y) in centers.items()
    ]
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#8a97b5"/></marker>'
        "</defs>"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        '<rect width="100%" height="100%" style="fill:#fff;stroke:none"/>'
    )
    return "\n".join([head, tip, *arrows, *boxes, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(folder_imports()))
