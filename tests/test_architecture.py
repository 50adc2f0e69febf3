"""The folders of the package import one way, and the pure ones touch nothing outside."""

import ast
import sys
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import pytest
from import_time import modules_after, ratio_of_times

import modelslab_async

PACKAGE = Path(modelslab_async.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
# A folder or root module may import itself and those before it.
ORDER = [
    "_models",
    "_aio",
    "_registry",
    "_parsing",
    "_scheduling",
    "_transport",
    "_downloads",
    "_polling",
    "_submitting",
    "_engine",
    "_client",
    "webhooks",
    "otel",
    "_postgres",
    "_journal",
    "journal",
    "_account",
    "_batch",
    "batch",
    "_tables",
    "_shards",
    "dask",
    "requests",
    "__init__",
    "emulator",
    "testing",
    "_cli",
]
PURE = ("_models", "_registry", "_parsing", "_scheduling")
IMPURE_MODULES = {
    "time",
    "random",
    "os",
    "logging",
    "asyncio",
    "socket",
    "threading",
    "secrets",
    "ssl",
}


def folder_of(path):
    """The entry of `ORDER` that a module belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The absolute names of the modules that a file imports."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if node.level and not node.module:
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def imported_folders(path):
    """The entries of `ORDER` that a module imports from."""
    for name in imported(path):
        package, *rest = name.split(".")
        if package == "modelslab_async":
            entry = rest[0] if rest else "__init__"
            yield entry if entry in ORDER else "__init__"


def test_imports_run_downwards():
    """A module imports from its own folder and from those before it in `ORDER`."""
    for path in MODULES:
        folder = folder_of(path)
        if folder != "__main__":
            allowed = ORDER[: ORDER.index(folder) + 1]
            assert set() == set(imported_folders(path)) - set(allowed), path


def test_pure_folders_import_only_pure_modules():
    """No I/O, clock or randomness: the standard library, attrs and cattrs only."""
    allowed = (sys.stdlib_module_names - IMPURE_MODULES) | {"attrs", "cattrs", "modelslab_async"}
    for path in MODULES:
        if folder_of(path) in PURE:
            assert set() == {name.partition(".")[0] for name in imported(path)} - allowed, path
            assert "TYPE_CHECKING" not in path.read_text(), path
            assert "__future__" not in path.read_text(), path


def test_emulator_imports_only_models_and_registry():
    """The stand-in for the service is built from the registry, never from the client."""
    for path in MODULES:
        if folder_of(path) == "emulator":
            assert {*imported_folders(path)} <= {"emulator", "_models", "_registry"}


def test_only_transport_imports_network_modules():
    """No other folder of the library opens a connection or parses HTTP."""
    network = {"httpcore", "h11", "httptools", "socket", "ssl"}
    for path in MODULES:
        if folder_of(path) not in ("_transport", "emulator", "_cli"):
            assert set() == {name.partition(".")[0] for name in imported(path)} & network


def test_public_names():
    """Public names are sorted, exist, and report the package as their module."""
    names = modelslab_async.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
    for name in names:
        public = getattr(modelslab_async, name)
        if isinstance(public, (type, FunctionType)):
            assert "modelslab_async" == public.__module__
    assert all(first != second for first, second in pairwise(names))


def names_imported_for_type_checkers():
    """The module of each name that the package imports where only type checkers look."""
    body = ast.parse((PACKAGE / "__init__.py").read_text()).body
    [block] = [node for node in body if isinstance(node, ast.If)]
    return {
        name.name: f"modelslab_async.{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.level
        for name in node.names
    }


def test_lazy_names_match_those_of_type_checkers():
    """A type checker and a running program find each public name in the same module."""
    expected = names_imported_for_type_checkers()
    assert expected == modelslab_async._MODULE_BY_NAME
    assert sorted(expected) == sorted(modelslab_async.__all__)


def test_unknown_name_is_an_attribute_error():
    """A misspelled name of the package raises what a misspelled name of any module raises."""
    with pytest.raises(AttributeError, match="module 'modelslab_async' has no attribute 'Clinet'"):
        _ = modelslab_async.Clinet


def test_dir_lists_public_names():
    """`dir` finds the public names before they are used."""
    assert set(modelslab_async.__all__) <= set(dir(modelslab_async))


HEAVY_MODULES = {
    "anyio",
    "asyncio",
    "cattrs",
    "click",
    "httpx",
    "logging",
    "rich",
    "sqlite3",
    "ssl",
}


@pytest.mark.parametrize(
    ("statement", "heavy_modules", "most_own_modules"),
    [
        ("import modelslab_async", HEAVY_MODULES | {"attrs"}, 1),
        ("from modelslab_async import Ticket", HEAVY_MODULES, 3),
        ("from modelslab_async.requests import realtime", HEAVY_MODULES, 9),
        ("from modelslab_async import Client", {"cattrs", "httpcore", "sqlite3", "trio"}, 155),
        ("from modelslab_async import Batch, Downloads", {"cattrs", "httpcore", "trio"}, 236),
    ],
)
def test_import_loads_what_is_used(statement, heavy_modules, most_own_modules):
    """An import loads the modules that its names need, and no others."""
    loaded = modules_after(statement)
    assert set() == loaded & heavy_modules
    assert most_own_modules >= sum(name.startswith("modelslab_async") for name in loaded)


@pytest.mark.thorough
def test_import_is_about_as_fast_as_httpx():
    """Importing the package takes at most 1.3 times as long as importing httpx."""
    assert 1.3 >= ratio_of_times(["-c", "import modelslab_async"], ["-c", "import httpx"])
