"""The page about performance names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "explanation" / "performance.md"


def test_named_tests_exist():
    """A reader finds each test under its name."""
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE.read_text())
    assert len(named) > 10
    for module, name in named:
        tree = ast.parse((TESTS / "transport" / module).read_text())
        functions = {each.name for each in tree.body if hasattr(each, "args")}
        assert name in functions
