"""What a stranger wrote is accepted or refused with the documented error, and nothing else."""

import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fuzz.targets import SEEDS, TARGETS

PROGRAM = Path(__file__).with_name("fuzz.py")
ROUNDS = 300


def mutated(draw, data):
    """The bytes with a few random edits: flipped, removed, repeated or inserted ones."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << draw.randrange(8)
            case 1:
                del data[at : at + draw.randint(1, 8)]
            case 2:
                data[at:at] = data[at : at + draw.randint(1, 32)] * draw.randint(1, 4)
            case _:
                data[at:at] = draw.randbytes(draw.randint(1, 4))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_seeds_raise_only_documented_errors(name):
    """A few hundred mutations of each seed, the same ones in every run."""
    draw = random.Random(name)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for _ in range(ROUNDS):
            TARGETS[name](mutated(draw, seed))


@pytest.mark.thorough
@pytest.mark.skipif(find_spec("atheris") is None, reason="pip install atheris (CPython on Linux)")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_guided_fuzzing_finds_nothing(name):
    """Twenty seconds of coverage-guided fuzzing for each target."""
    command = [sys.executable, PROGRAM, name, "--seconds", "20"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert 0 == run.returncode, run.stderr[-4000:]
