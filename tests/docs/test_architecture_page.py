"""The page on the architecture shows the imports of the day and names files that exist."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/architecture.md"
sys.path.append(str(ROOT / "docs"))
from architecture_diagram import PICTURE, draw, folder_imports  # noqa: E402


def test_picture_shows_the_imports_of_the_day():
    """Else `python docs/architecture_diagram.py` renews it."""
    assert draw(folder_imports(ROOT / "modelslab_async")) == PICTURE.read_text()


@pytest.mark.parametrize("page", [PAGE, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_named_files_exist(page):
    """A path in backticks is a file or folder of the package or of the repository."""
    paths = re.findall(r"`([\w./]+/[\w./]*)`", page.read_text())
    roots = (ROOT, ROOT / "modelslab_async")
    assert [] == [path for path in paths if not any((root / path).exists() for root in roots)]
