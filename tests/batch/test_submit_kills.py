"""Programs that submit a table are killed at random moments, and no row is paid for twice."""

import subprocess
import sys
from pathlib import Path

import pytest
from everyday import cases
from process_environment import environment_without_coverage

PROGRAM = Path(__file__).parent / "submit_kill.py"


# The store, kills, rows, and more options of the script.
EVERYDAY = [
    ("sqlite", 2, 6, ""),
    ("sqlite", 1, 3, "--command"),
    ("postgres", 3, 9, "--workers 3"),
]
THOROUGH = [
    ("sqlite", 200, 500, ""),
    ("sqlite", 40, 100, "--command"),
    ("sqlite", 30, 100, "--workers 3"),
    ("postgres", 60, 200, "--workers 3"),
    ("postgres", 10, 40, "--workers 2 --command"),
]


@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(("store", "kills", "rows", "more"), cases(EVERYDAY, THOROUGH))
def test_kills_pay_for_no_row_twice(request, store, kills, rows, more):
    """Each row has its files or its failure in the end. `submit_kill.py` says what it checks."""
    if store == "postgres":
        # The script starts another server. Without PostgreSQL, this skips the test.
        request.getfixturevalue("postgres")
        more += " --postgres"
    program = subprocess.run(
        [
            *(sys.executable, "-W", "error", PROGRAM, "--kills", str(kills), "--rows", str(rows)),
            *more.split(),
        ],
        capture_output=True,
        text=True,
        check=False,
        # A killed process leaves coverage nothing, and its warnings would be on standard error.
        env=environment_without_coverage(),
    )
    assert "" == program.stderr, program.stdout
    assert f"{kills} kills by SIGKILL of " in program.stdout
    assert f"of {rows} rows: each was paid for once" in program.stdout
