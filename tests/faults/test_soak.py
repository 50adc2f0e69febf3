"""A client that runs for a day leaks nothing."""

import json
import subprocess
import sys

import pytest
from faults import soak

# The timeout is generous, so that a busy machine causes no failure.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]

WARM_UP_HOURS = 3
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def day():
    """Run one day in a process of its own, and return what it recorded."""
    completed = subprocess.run(
        [sys.executable, "-P", soak.__file__], stdout=subprocess.PIPE, timeout=580, check=True
    )
    return json.loads(completed.stdout)


def test_day_loses_no_ticket(day):
    """Each ticket has an outcome, which may be a timeout, and all faults were committed."""
    assert soak.TICKETS == sum(day["outcomes"].values())
    assert {"Success", "Failed", "Unresolved"} == set(day["outcomes"])
    assert set(soak.SHARES) == set(day["faults"])
    assert day["connection_count"] > 500


def test_day_leaves_no_file_open(day):
    """After each hour, the process has as many open files and sockets as at the start."""
    assert [day["files_at_start"]] * soak.HOURS == [hour["files"] for hour in day["hours"]]


def test_day_leaks_no_memory(day):
    """After some hours, neither the number of objects nor the memory grows."""
    early, late = day["hours"][WARM_UP_HOURS], day["hours"][-1]
    # One leaked object for each ticket would be twice as many.
    assert late["objects"] <= early["objects"] + soak.TICKETS / 2
    assert late["resident"] <= early["resident"] + MEBIBYTE
