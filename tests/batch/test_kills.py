"""Processes are killed at random moments of a batch, and no ticket is lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from everyday import cases
from process_environment import environment_without_coverage

PROGRAM = Path(__file__).parent / "kill.py"


# The store, kills, workers at a time, and more options of the script.
THOROUGH = [
    ("sqlite", 10, 1, "--no-files"),
    ("sqlite", 25, 1, ""),
    ("sqlite", 15, 2, ""),
    ("sqlite", 15, 1, "--full"),
    ("postgres", 10, 3, "--no-files"),
    ("postgres", 40, 3, ""),
]


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("store", "kills", "workers", "more"),
    cases([("sqlite", 3, 1, ""), ("postgres", 3, 3, "")], THOROUGH),
)
def test_kills_lose_no_ticket(request, store, kills, workers, more):
    """Each has one outcome, committed before it was handed out. `kill.py` says what it checks."""
    if store == "postgres":
        # The script starts another server. Without PostgreSQL, this skips the test.
        request.getfixturevalue("postgres")
        more += " --postgres"
    program = subprocess.run(
        [
            *(sys.executable, "-W", "error", PROGRAM),
            *("--kills", str(kills), "--workers", str(workers), "--tickets", "300", *more.split()),
        ],
        capture_output=True,
        text=True,
        check=False,
        # A killed process leaves coverage nothing, and its warnings would be on standard error.
        env=environment_without_coverage(),
    )
    assert "" == program.stderr, program.stdout
    assert f"{kills} kills by SIGKILL of {workers} at work" in program.stdout
    assert (", 0 ends for want of room" in program.stdout) is ("--full" not in more)


@pytest.mark.parametrize(
    ("store", "total", "with_files"), [("sqlite", 65, 55), ("postgres", 50, 40)]
)
def test_number_of_kills_is_the_documented_one(store, total, with_files):
    """All kills of a store, and those of workers that save files."""
    settings = [(kills, more) for name, kills, _, more in THOROUGH if name == store]
    assert total == sum(kills for kills, _ in settings)
    assert with_files == sum(kills for kills, more in settings if "--no-files" not in more)
