"""The program that tries mutants, on a few of them and on a sample."""

import subprocess
import sys
from pathlib import Path

import pytest
from process_environment import environment_without_coverage

PROGRAM = Path(__file__).with_name("mutate_layers.py")
SEEN = "Ticket.has_id: not self.id.startswith(_NO_ID_PREFIX) => self.id.startswith(_NO_ID_PREFIX)"
UNSEEN = "_check_id: len(value) <= _MAX_ID_LENGTH => len(value) < _MAX_ID_LENGTH"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="each mutant runs in a forked process with limits"
)


def run_program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env=environment_without_coverage(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(1200)
def test_seen_mutant_passes_and_unseen_one_fails_the_run(tmp_path):
    """The program tells a mutant that tests see from one that they cannot see."""
    common = ("--layer", "_models", "--sample", "1", "--measured", str(tmp_path), "--name")
    seen = run_program(*common, SEEN)
    assert (0, True) == (seen.returncode, "1 of 1 mutants seen" in seen.stdout), seen.stderr
    unseen = run_program(*common, UNSEEN, "--equivalent")
    assert (0, True) == (unseen.returncode, "0 of 1 mutants seen" in unseen.stdout), unseen.stderr


@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_tests_see_a_sample_of_mutants():
    """Of a sample by seed, tests see 95 of 100 mutants that change what a caller sees."""
    done = run_program("--sample", "60")
    assert 0 == done.returncode, done.stdout + done.stderr
