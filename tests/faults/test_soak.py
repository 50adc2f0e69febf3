"""A client that runs for many hours leaks nothing."""

import json
import subprocess
import sys

import pytest
from faults import soak
from process_environment import environment_without_coverage

# The timeout is generous, so that a busy machine causes no failure.
pytestmark = pytest.mark.timeout(600)

WARM_UP_HOURS = 3
MEBIBYTE = 2**20


@pytest.fixture(
    scope="module", params=[10, pytest.param(24, marks=pytest.mark.thorough)], ids="{} hours".format
)
def record(request):
    """Run some hours in a process of its own, and return what it recorded."""
    command = [sys.executable, "-P", soak.__file__, "--hours", str(request.param)]
    # Coverage needs memory for what it has seen.
    environment = environment_without_coverage()
    completed = subprocess.run(
        command, stdout=subprocess.PIPE, timeout=580, check=True, env=environment
    )
    return json.loads(completed.stdout)


def ticket_count(hours):
    """Return how many tickets are added in these hours."""
    return len(hours) * soak.TICKETS_PER_HOUR


def test_long_run_loses_no_ticket(record):
    """Each ticket has an outcome, which may be a timeout, and all faults were committed."""
    assert ticket_count(record["hours"]) == sum(record["outcomes"].values())
    assert {"Success", "Failed", "Unresolved"} == set(record["outcomes"])
    assert soak.FAULTS == set(record["faults"])
    assert record["connection_count"] > ticket_count(record["hours"]) / 3


def test_long_run_leaves_no_file_open(record):
    """After each hour, the process has as many open files and sockets as at the start."""
    assert [record["files_at_start"]] * len(record["hours"]) == [
        hour["files"] for hour in record["hours"]
    ]


def test_long_run_leaks_no_memory(record):
    """After some hours, neither the number of objects nor the memory grows."""
    early, late = record["hours"][WARM_UP_HOURS], record["hours"][-1]
    # One leaked object for each ticket would be twice as many.
    assert (
        late["objects"] <= early["objects"] + ticket_count(record["hours"][WARM_UP_HOURS + 1 :]) / 2
    )
    assert late["resident"] <= early["resident"] + MEBIBYTE
