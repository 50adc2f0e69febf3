"""Kills: processes die at random moments of a batch, and no ticket suffers by it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

GAME = Path(__file__).parent / "kill.py"


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("kills", "workers", "more"),
    [
        (15, 1, ("--no-files",)),
        (20, 1, ()),
        (15, 2, ()),
        (15, 1, ("--full",)),
    ],
)
def test_every_ticket_outlives_the_kills(kills, workers, more):
    """Each has one outcome, kept before it was handed out; `kill.py` says what it checks."""
    game = subprocess.run(
        [
            *(sys.executable, "-W", "error", GAME),
            *("--kills", str(kills), "--workers", str(workers), "--tickets", "300", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == game.stderr, game.stdout
    assert f"{kills} kills of {workers} at work" in game.stdout
    assert (", 0 of them for want of room" in game.stdout) is not ("--full" in more)
