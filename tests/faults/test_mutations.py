"""The places that `mutations.py` breaks: all are there, and a few are tried each time."""

import ast

import pytest
from faults.mutations import MUTATIONS, STORIES, Mutation, broken, survives

# Those that are seen the soonest; `nox -s mutate` tries all.
SOON = (
    "a story: an end is told twice",
    "a story: a ticket settles twice",
    "a story: no pause after a fault",
    "a story: 429 pauses nothing",
    "a story: all looks at once where none was answered",
    "a story: 404 within the grace",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.row)
def test_a_place_to_break_is_there_once(mutation):
    """The code may move; what is broken moves along, and what comes of it is still Python."""
    ast.parse(broken(mutation))


# Not measured: coverage would look for the copies when they are gone.
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", SOON)
def test_a_broken_package_fails_its_tests(row, tmp_path):
    """What is checked in the stories is really checked."""
    [mutation] = [each for each in MUTATIONS if each.row == row]
    assert not survives(mutation, tmp_path)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_package_that_is_not_broken_passes_them(tmp_path):
    """So it is the mutation that is seen, and not the way in which it is tried."""
    nothing = Mutation(
        "nothing", "_polling/poller.py", "_SLICE = 256", "_SLICE = 256", STORIES, "rules"
    )
    assert survives(nothing, tmp_path)
