"""The places that `mutations.py` breaks: each is still there, so that it can be tried."""

import ast

import pytest
from faults.mutations import MUTATIONS, broken


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.row)
def test_a_place_to_break_is_there_once(mutation):
    """The code may move; what is broken moves along, and what comes of it is still Python."""
    ast.parse(broken(mutation))
