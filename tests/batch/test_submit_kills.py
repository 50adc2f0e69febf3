"""A program that submits a table is killed at random moments, and no row is paid for twice."""

import subprocess
import sys
from pathlib import Path

import pytest
from everyday import cases
from process_environment import environment_without_coverage

PROGRAM = Path(__file__).parent / "submit_kill.py"


@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("kills", "rows", "form"),
    cases([(2, 6, "python"), (1, 3, "command")], [(200, 500, "python"), (40, 100, "command")]),
)
def test_kills_pay_for_no_row_twice(kills, rows, form):
    """Each row has its files or its failure in the end. `submit_kill.py` says what it checks."""
    program = subprocess.run(
        [
            *(sys.executable, "-W", "error", PROGRAM, "--kills", str(kills), "--rows", str(rows)),
            *(("--command",) if form == "command" else ()),
        ],
        capture_output=True,
        text=True,
        check=False,
        # A killed process leaves coverage nothing, and its warnings would be on standard error.
        env=environment_without_coverage(),
    )
    assert "" == program.stderr, program.stdout
    assert f"{rows} rows: each was paid for once" in program.stdout
