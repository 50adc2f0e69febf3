"""Joins the names of rows into text, such as `lines 1-4, 9 and 30 more`."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_NUMBERED: Final = re.compile(r"(line|item)s? (\d+)(?: to (\d+))?")
_MAX_PARTS: Final = 5


def join_names(names: Sequence[str], total: int) -> str:
    """
    Join names of rows or tickets. Consecutive lines or items become a range, such as `1-4`.

    Args:
        names: Names such as `line 3`, `lines 3 to 5`, `item 3` or `images:13443927`, in any order.
        total: The total number of rows or tickets, including those that are not in `names`.
    """
    matches = [_NUMBERED.fullmatch(name) for name in names]
    spans = [(int(match[2]), int(match[3] or match[2])) for match in matches if match is not None]
    kinds = {match[1] for match in matches if match is not None}
    if len(spans) < len(names) or len(kinds) > 1:
        shown = names[:_MAX_PARTS]
        return _with_rest(shown, total - len(shown))
    ranges = _merge(spans)
    if total == 1:
        return names[0]
    parts, rows = [], 0
    for first, last, count in ranges[:_MAX_PARTS]:
        parts.append(str(first) if first == last else f"{first}-{last}")
        rows += count
    return f"{kinds.pop()}s {_with_rest(parts, total - rows)}"


def _with_rest(parts: Iterable[str], rest: int) -> str:
    return ", ".join(parts) + (f" and {rest:,} more" if rest else "")


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Merge successive rows into ranges: the first line, the last line and the number of rows."""
    ranges: list[tuple[int, int, int]] = []
    for first, last in sorted(spans):
        if ranges and first == ranges[-1][1] + 1:
            begin, _, rows = ranges[-1]
            ranges[-1] = begin, last, rows + 1
        else:
            ranges.append((first, last, 1))
    return ranges
