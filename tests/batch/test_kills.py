"""Processes are killed at random moments of a batch, and no ticket is lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from process_environment import environment_without_coverage

PROGRAM = Path(__file__).parent / "kill.py"


# Kills, workers at a time, whether they save files, and whether they have room.
SETTINGS = [(10, 1, False, True), (25, 1, True, True), (15, 2, True, True), (15, 1, True, False)]


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("kills", "workers", "files", "room"),
    [(3, 1, True, True), *(pytest.param(*each, marks=pytest.mark.thorough) for each in SETTINGS)],
)
def test_kills_lose_no_ticket(kills, workers, files, room):
    """Each has one outcome, committed before it was handed out. `kill.py` says what it checks."""
    more = [*(() if files else ("--no-files",)), *(() if room else ("--full",))]
    program = subprocess.run(
        [
            *(sys.executable, "-W", "error", PROGRAM),
            *("--kills", str(kills), "--workers", str(workers), "--tickets", "300", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
        # A killed process leaves coverage nothing, and its warnings would be on standard error.
        env=environment_without_coverage(),
    )
    assert "" == program.stderr, program.stdout
    assert f"{kills} kills by SIGKILL of {workers} at work" in program.stdout
    assert (", 0 ends for want of room" in program.stdout) is room


def test_number_of_kills_is_the_documented_one():
    """65 in all, 55 of them during downloads."""
    assert 65 == sum(kills for kills, *_ in SETTINGS)
    assert 55 == sum(kills for kills, _, files, _ in SETTINGS if files)
