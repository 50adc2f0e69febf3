"""Kills: processes die at random moments of a batch, and no ticket suffers by it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

GAME = Path(__file__).parent / "kill.py"


# Kills, workers at a time, whether they save files, and whether they have room.
GAMES = [(10, 1, False, True), (25, 1, True, True), (15, 2, True, True), (15, 1, True, False)]


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(("kills", "workers", "files", "room"), GAMES)
def test_every_ticket_outlives_the_kills(kills, workers, files, room):
    """Each has one outcome, kept before it was handed out; `kill.py` says what it checks."""
    more = [*(() if files else ("--no-files",)), *(() if room else ("--full",))]
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
    assert f"{kills} kills by SIGKILL of {workers} at work" in game.stdout
    assert (", 0 ends for want of room" in game.stdout) is room


def test_there_are_enough_of_them():
    """What the page on journals says: 65 in all, 55 of them in the midst of downloads."""
    assert 65 == sum(kills for kills, *_ in GAMES)
    assert 55 == sum(kills for kills, _, files, _ in GAMES if files)
