"""The extra: who has not installed it is told how."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(missing):
    """One line names what is missing and the command that installs it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import modelslab_async.emulator"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 1 == found.returncode
    assert found.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: the emulator needs {missing}: "
        'pip install "modelslab-async[emulator]"'
    )
