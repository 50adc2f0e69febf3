"""The notebook of the documentation, run cell by cell in a kernel of its own."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from modelslab_async.emulator import Emulator, Jobs

PAGE = Path(__file__).parents[2] / "docs/how-to/notebook.md"
# Cells share an event loop, so the page marks them in another way than blocks that run alone.
_CELL = re.compile(r"^```python3\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def run_page(serving, monkeypatch, tmp_path):
    """Run the page against an emulator, and return its cells with their outputs."""

    def run(emulator):
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        sources = _CELL.findall(PAGE.read_text())
        notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, sources)])
        with serving(emulator) as base_url:
            for name, value in (("API_KEY", "a-key"), ("BASE_URL", base_url)):
                monkeypatch.setenv(f"MODELSLAB_{name}", value)
            NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        return notebook.cells

    return run


def shown(cell, kind):
    """What a cell shows as one type of content."""
    return [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]


def printed(cell):
    return "".join(output["text"] for output in cell.outputs if output.output_type == "stream")


def test_cells_show_pictures_and_progress(run_page):
    """Every cell runs on the loop of the kernel; nothing is submitted twice."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.3), seed=1))
    _, one, stored, progress, again, _ = run_page(emulator)

    [html] = shown(one, "text/html")
    assert "realtime:" in html
    assert "success" in html
    # The page says that links of the emulator are no pictures.
    assert "http://127.0.0.1" in html
    assert "<img" not in html
    assert 1 == len(shown(stored, "image/jpeg"))
    assert "4/4" in printed(progress)
    assert 5 == len(shown(again, "text/html"))
    assert 5 == len(emulator.submits)
