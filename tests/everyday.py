"""Which cases of a test run every day. The others are thorough. It runs nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def cases(everyday: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return all cases. Those of the second kind are thorough."""
    return [*everyday, *(_thorough(case) for case in others)]


def pairs(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """
    Return every value of one argument with every value of another.

    Every day, each value of both occurs in a pair. All other pairs are thorough: few defects need
    one value of both.
    """
    length = min(len(first), len(second))
    return [
        (a, b) if (number + other) % length == 0 else _thorough((a, b))
        for number, a in enumerate(first)
        for other, b in enumerate(second)
    ]


def _thorough(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.thorough)
