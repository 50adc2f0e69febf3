"""The names of rows in a message: successive lines are a range, and a long list is cut."""

import pytest

from modelslab_async._cli.batch.row_name_ranges import join_names


@pytest.mark.parametrize(
    ("names", "total", "text"),
    [
        (["line 3"], 1, "line 3"),
        (["lines 3 to 5"], 1, "lines 3 to 5"),
        (["line 4", "line 2"], 2, "lines 2, 4"),
        ([f"line {n}" for n in range(1, 41)], 40, "lines 1-40"),
        (["line 1", "lines 2 to 5", "line 6", "line 9"], 4, "lines 1-6, 9"),
        ([f"line {n}" for n in range(1, 99, 2)], 49, "lines 1, 3, 5, 7, 9 and 44 more"),
        (["line 1", "line 2", "line 3"], 5000, "lines 1-3 and 4,997 more"),
        (["item 1", "item 2", "item 4"], 3, "items 1-2, 4"),
        (["images:7", "line 1"], 2, "images:7, line 1"),
        (
            [f"images:{n}" for n in range(7)],
            7,
            "images:0, images:1, images:2, images:3, images:4 and 2 more",
        ),
    ],
)
def test_names_are_joined(names, total, text):
    """The text says how many rows it leaves out."""
    assert text == join_names(names, total)
