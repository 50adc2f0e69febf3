"""Runs the benchmarks as programs, with few rounds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run_benchmark(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a benchmark program with options, and returns the figures that it saved."""
    # A benchmark imports the modules beside it, which PYTHONSAFEPATH would forbid.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

    def run(name: str, *options: str) -> Any:
        completed = subprocess.run(
            [
                *(sys.executable, Path(__file__).with_name(name)),
                *(*options, "--save", tmp_path / "figures.json"),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == completed.returncode, completed.stderr
        return json.loads((tmp_path / "figures.json").read_text())

    return run
