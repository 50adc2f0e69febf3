"""Sizes, names and words that every module of the package keeps to."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import modelslab_async

PACKAGE = Path(modelslab_async.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    path
    for pattern in ("*.md", "tests/**/*.py", "docs/**/*.md", "docs/**/*.py")
    for path in ROOT.glob(pattern)
)
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_ROOT_MODULES = 10
# Split, so that this file does not name what it forbids.
VAGUE_ACTORS = re.compile(
    rf"\b({'|'.join(('who' + 'ever', 'no' + 'body', 'some' + 'body'))})\b", re.IGNORECASE
)


def name_of(path):
    """The path of a file inside the package or the repository."""
    return str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_short(path):
    """No module is over 300 lines, and no function over 50."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long_functions = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert [] == long_functions


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_reaches_into_no_other(path):
    """No module silences the check of access to private members."""
    assert "SLF001" not in path.read_text()


@pytest.mark.parametrize("path", [*MODULES, *TEXTS], ids=name_of)
def test_text_names_its_actors(path):
    """Code, tests and pages say the client, the caller or the server, never an unnamed person."""
    assert [] == VAGUE_ACTORS.findall(path.read_text())


def test_root_of_package_is_small():
    """The folders are the architecture: at most ten modules stand beside them."""
    assert len([*PACKAGE.glob("*.py")]) <= MAX_ROOT_MODULES


def test_names_of_modules_are_unique():
    """No two modules share a file name, so that a name in a traceback says which one it is."""
    names = Counter(path.name for path in MODULES if not path.name.startswith("__"))
    assert [] == [name for name, count in names.items() if count > 1]


def test_names_of_classes_are_unique():
    """No two public classes share a name."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [] == [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_folder_says_what_it_is_for(path):
    """The `__init__` of a folder holds a docstring and imports, and no logic."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if path.parent != PACKAGE and path.parent.name != "_cli":
        allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.For)
        assert all(isinstance(node, allowed) for node in tree.body)
