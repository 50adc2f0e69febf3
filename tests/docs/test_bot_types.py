"""The bots of the documentation, checked by mypy as a reader's editor does."""

import subprocess
import sys

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("page", ["bot", "discord-bot"])
def test_program_has_no_type_error(program_of, tmp_path, page):
    """Strict mode finds nothing, such as a method that a library needs for itself."""
    (tmp_path / "program.py").write_text(program_of(f"how-to/{page}.md"))
    # In the root of a clone, mypy would check the package, too. In this process, it would leave
    # millions of objects and rarer garbage collections to the tests after it.
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout == "Success: no issues found in 1 source file\n"
