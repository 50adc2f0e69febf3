"""The bots of the documentation, checked by mypy as a reader's editor does."""

import pytest
from mypy import api


@pytest.mark.thorough
@pytest.mark.parametrize("page", ["bot", "discord-bot"])
def test_program_has_no_type_error(program_of, tmp_path, monkeypatch, page):
    """Strict mode finds nothing, such as a method that a library needs for itself."""
    program = tmp_path / "program.py"
    program.write_text(program_of(f"how-to/{page}.md"))
    # In the root of a clone, mypy would check the package, too.
    monkeypatch.chdir(tmp_path)
    found, failure, _ = api.run(
        ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(program)]
    )
    assert failure == ""
    assert found == "Success: no issues found in 1 source file\n"
