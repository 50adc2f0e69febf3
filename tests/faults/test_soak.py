"""A day in the life of a client: what it holds at the end is what it held after some hours."""

import json
import subprocess
import sys

import pytest
from faults import soak

# Much longer than it takes: a machine that is busy is no failure.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]

WARM = 3
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def day():
    """What was seen of one day, lived in a process of its own."""
    lived = subprocess.run(
        [sys.executable, "-P", soak.__file__], stdout=subprocess.PIPE, timeout=580, check=True
    )
    return json.loads(lived.stdout)


def test_a_day_loses_no_ticket(day):
    """Each has its end, be it that nobody would wait any longer; and the faults were committed."""
    assert soak.TICKETS == sum(day["kinds"].values())
    assert {"Success", "Failed", "Unresolved"} == set(day["kinds"])
    assert set(soak.SHARES) == set(day["faults"])
    assert day["connections"] > 500


def test_a_day_leaves_no_file_open(day):
    """Once nothing goes on, each hour ends with as many files and sockets as the day began with."""
    assert [day["before"]] * soak.HOURS == [hour["files"] for hour in day["hours"]]


def test_a_day_leaves_no_memory_in_use(day):
    """After some hours, neither the objects that live get more, nor the memory they live in."""
    early, late = day["hours"][WARM], day["hours"][-1]
    # An object that each ticket left behind would be twice as many.
    assert late["objects"] <= early["objects"] + soak.TICKETS / 2
    assert late["resident"] <= early["resident"] + MEBIBYTE
