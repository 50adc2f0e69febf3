"""The page on the architecture shows the imports of the day and names files that exist."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/architecture.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# What a command of the same page makes.
GENERATED = {"docs/_build/html"}
sys.path.append(str(ROOT / "docs"))
from architecture_diagram import PICTURE, draw, folder_imports  # noqa: E402


def test_picture_shows_the_imports_of_the_day():
    """Else `python docs/architecture_diagram.py` renews it."""
    assert draw(folder_imports(ROOT / "modelslab_async")) == PICTURE.read_text()


def spans(page):
    """What stands in backticks on a page, outside of its blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def is_there(path):
    """Whether the path is in the repository or in the package, or a file elsewhere has the name."""
    roots = (ROOT, ROOT / "modelslab_async")
    found = any((root / name).exists() for root in roots for name in (path, f"{path}.py"))
    folders = (ROOT / "modelslab_async", ROOT / "tests", ROOT / "docs")
    return found or ("/" not in path and any(any(folder.rglob(path)) for folder in folders))


@pytest.mark.parametrize("page", [PAGE, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_named_files_exist(page):
    """A path, a file name or a folder of the package in backticks exists."""
    looks_like_a_file = re.compile(r"[\w./-]+/[\w./-]*|[\w-]+\.(py|md|toml|json|svg)|_[a-z0-9]+")
    paths = [span for span in spans(page) if looks_like_a_file.fullmatch(span)]
    assert [] == [path for path in paths if not is_there(path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_of_the_repository_exist(page):
    """On every page, a path that begins with a folder of the repository exists."""
    in_repository = re.compile(r"(modelslab_async|tests|docs)/[\w./-]*")
    paths = {span for span in spans(page) if in_repository.fullmatch(span)} - GENERATED
    assert [] == [path for path in paths if not (ROOT / path).exists()]
