"""The benchmarks as the programs that they are, run in a short form."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def saved_by(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a benchmark with some options; gives what it saved."""
    # A benchmark is one of several modules that lie beside it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

    def run(name: str, *options: str) -> Any:
        found = subprocess.run(
            [
                *(sys.executable, Path(__file__).with_name(name)),
                *(*options, "--save", tmp_path / "found.json"),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == found.returncode, found.stderr
        return json.loads((tmp_path / "found.json").read_text())

    return run
