"""The mutations of the package: all can be applied, and a few are tried in each run."""

import ast

import pytest
from everyday import cases
from faults.mutate import broken_source, survives
from faults.mutations import MUTATIONS
from faults.mutations.mutation import SIMULATION, Mutation

# The mutations whose tests fail fastest. `nox -s mutate` tries all.
FAST = (
    "simulation: an outcome comes twice",
    "simulation: a ticket completes twice",
    "simulation: no backoff after a failure",
    "simulation: 429 pauses nothing",
    "simulation: all polls at once to an unproven host",
    "simulation: 404 within the grace ends the ticket",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_applies_once_and_is_valid_python(mutation):
    """The text to replace occurs once in its module, and the result is still Python."""
    ast.parse(broken_source(mutation))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", cases(FAST[:1], FAST[1:]))
def test_broken_package_fails_its_tests(name, tmp_path):
    """The rules of the simulation notice a broken package."""
    [mutation] = [each for each in MUTATIONS if each.name == name]
    assert not survives(mutation, tmp_path)


@pytest.mark.timeout(600)
def test_unbroken_package_passes_its_tests(tmp_path):
    """The tests fail because of the mutation, and not because of how it is applied."""
    text = "_COMPLETIONS_PER_YIELD = 256"
    unbroken = Mutation("nothing", "_polling/poller.py", text, text, SIMULATION, "rules")
    assert survives(unbroken, tmp_path)
