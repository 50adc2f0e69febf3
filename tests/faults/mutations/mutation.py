"""Mutation: one place to break in the package. Breaks nothing itself."""

from typing import NamedTuple

EVERY_FAULT = "test_every_fault.py"
SIMULATION = "test_simulate.py"
WALL_CLOCK = "test_wall_clock.py"
SUBMIT_SIMULATION = "../submitting/test_simulation.py"
SUBMITTING = "../submitting/test_submitting.py"
SLOT_UNITS = "../submitting/test_slot_units.py"
UNCERTAIN_SLOTS = "../submitting/test_uncertain_slots.py"
UPLOADS = "../submitting/test_uploads.py"
TABLE = "../batch/test_generating.py"
CLOSING = "../submitting/test_closing.py"
UNSENT = "../submitting/test_unsent_submits.py"
LAST_CHECK = "../submitting/test_last_check.py"
STALLS = "../batch/test_submit_stalls.py"
GENERATE_TIMEOUT = "../submitting/test_generate_timeout.py"
BUDGET = "../submitting/test_paid_submit_budget.py"
SURVIVES = "survives and "
"""The start of a selection in `test_every_fault.py`: the test that a wait survives a fault."""


class Mutation(NamedTuple):
    """
    One place to break, and the tests that must fail then.

    Attributes:
        name: The situation, and what goes wrong in it.
        module: The path of the module in the package.
        right: The text in the module, which occurs once.
        wrong: The text that replaces it.
        tests: The test files to run, relative to `tests/faults`.
        selection: The `-k` expression that selects tests. Empty: all of them.
    """

    name: str
    module: str
    right: str
    wrong: str
    tests: str
    selection: str = ""
