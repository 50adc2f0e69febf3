"""The import error where the `emulator` extra is not installed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_import_without_the_extra_names_the_command(missing):
    """One line names what is missing and the command that installs it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import modelslab_async.emulator"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 1 == found.returncode
    assert found.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: the emulator needs {missing}: "
        'pip install "modelslab-async[emulator]", or pip install starlette uvicorn '
        "if you run from a clone"
    )
