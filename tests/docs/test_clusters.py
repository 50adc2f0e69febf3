"""The recipes for clusters, started again after a try that could not finish its table."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from modelslab_async.emulator import Emulator

parquet = pytest.importorskip("pyarrow.parquet", reason="pip install pyarrow")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/clusters.md").read_text()
KEY, WRONG_KEY = "the-key-of-the-cluster", "a-key-that-is-refused"
REFUSED_KEY_CODE = 3
TICKETS = ["images:1", "images:2", "images:3"]
STATES = ["success", "failed", "success"]


class Table:
    """A table of three tickets in a folder of its own, and the part that a recipe makes of it."""

    def __init__(self, folder: Path, emulator: Emulator, base_url: str) -> None:
        self.folder, self._emulator = folder, emulator
        for name in ("ids", "out", "scratch", "bin"):
            (folder / name).mkdir()
        self.ids, self.part = folder / "ids/0.txt", folder / "out/0.parquet"
        self.draft = folder / "out/.0.parquet"
        self.ids.write_text("\n".join(TICKETS))
        self._program = folder / "bin/modelslab-async"
        self.set_program(f'exec {shlex.quote(sys.executable)} -m modelslab_async "$@"')
        self.environment = {
            "PATH": f"{self._program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MODELSLAB_API_KEY": KEY,
            "MODELSLAB_BASE_URL": base_url,
            "MODELSLAB_LEGACY_BASE_URL": base_url,
            "TMPDIR": str(folder / "scratch"),
        }

    def set_program(self, script: str) -> None:
        """Let `modelslab-async` be this script."""
        self._program.write_text(f"#!/bin/sh\n{script}\n")
        self._program.chmod(0o755)

    def run(self, shell: str, script: str, **changes: str) -> int:
        """Run a script of the page, and return its exit code."""
        return subprocess.run(
            [shell, "-c", script],
            cwd=self.folder,
            env=self.environment | changes,
            timeout=300,
            check=False,
        ).returncode

    @property
    def requests(self) -> int:
        return self._emulator.request_count


def states(export: Path) -> list[str]:
    return parquet.read_table(export, columns=["state"])["state"].to_pylist()


@pytest.fixture
def table(
    serving: Callable[[Emulator], AbstractContextManager[str]], tmp_path: Path
) -> Iterator[Table]:
    emulator = Emulator(keys={KEY})
    for ticket, state in zip(TICKETS, STATES, strict=True):
        emulator.add_job(ticket, duration=0.0, fails=state == "failed")
    with serving(emulator) as base_url:
        yield Table(tmp_path, emulator, base_url)


def kubernetes(table: Table, **changes: str) -> int:
    """Run the command of the indexed job, with folders in place of its volumes."""
    found = re.search(r"^ +args:\n +- \|\n(.*?)^ +volumeMounts:", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    script = textwrap.dedent(found[1])
    script = script.replace("/data/", f"{table.folder}/")
    script = script.replace("/scratch/", f"{table.folder}/scratch/")
    return table.run("sh", script, JOB_COMPLETION_INDEX="0", **changes)


def slurm(table: Table, **changes: str) -> int:
    """Run the batch script, with the variables that SLURM sets."""
    found = re.search(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    return table.run("bash", found[1], **variables, **changes)


@pytest.mark.parametrize("recipe", [kubernetes, slurm])
def test_script_makes_the_part_once_every_ticket_has_ended(recipe: Any, table: Table) -> None:
    """A try that could not poll leaves no part, so the next try polls. A failed job has ended."""
    assert REFUSED_KEY_CODE == recipe(table, MODELSLAB_API_KEY=WRONG_KEY)
    assert not table.part.exists()
    assert ["unresolved"] * 3 == states(table.draft)
    assert 0 == recipe(table)
    assert STATES == states(table.part)
    assert not table.draft.exists()
    requests = table.requests
    assert 0 == recipe(table)
    assert requests == table.requests


@pytest.mark.parametrize("recipe", [kubernetes, slurm])
def test_draft_of_earlier_try_never_becomes_the_part(recipe: Any, table: Table) -> None:
    """A Python that cannot start ends with 1, as a program does whose tickets have all ended."""
    recipe(table, MODELSLAB_API_KEY=WRONG_KEY)
    assert table.draft.exists()
    table.set_program("exit 1")
    assert 0 != recipe(table)
    assert not table.part.exists()


async def test_function_makes_the_part_once_every_ticket_has_ended(
    table: Table, program_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that could not poll raises the reason and leaves no part, so the next call polls."""
    program: dict[str, Any] = {}
    exec(program_of("how-to/clusters.md").partition('\n\n\nPath("monday')[0], program)
    poll_table, paths = program["poll_table"], (str(table.ids), str(table.part))
    for name, value in table.environment.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setenv("MODELSLAB_API_KEY", WRONG_KEY)
    with pytest.raises(RuntimeError, match=r"not all tickets of .*0\.txt ended: .*key"):
        await poll_table(*paths)
    assert not table.part.exists()
    monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
    assert str(table.part) == await poll_table(*paths)
    assert STATES == states(table.part)
    requests = table.requests
    assert str(table.part) == await poll_table(*paths)
    assert requests == table.requests
