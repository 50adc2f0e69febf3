"""The house keeps its order: imports run one way, and the core touches nothing."""

import ast
import sys
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import pytest

import modelslab_async

PACKAGE = Path(modelslab_async.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
CORE = [path for path in MODULES if "_core" in path.parts]
# Each may import those before it. What touches the world outside has no place in the core.
CORE_ORDER = """
arguments tickets replies files errors outcomes families spelling tables endpoints events catalog
endpoint_rows endpoint_catalog bodies hints statuses refusals reading
hooks receipts pending records rules inspecting intervals purse experience sightings learning
pacing queues lines crowds lanes rates schedule
""".split()  # noqa: SIM905
OUTSIDE = {"time", "random", "os", "logging", "asyncio", "socket", "threading", "secrets", "ssl"}


def imported(path):
    """The absolute names of the modules that a file imports."""
    parts = (path.relative_to(PACKAGE.parent).with_suffix("")).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            if node.level and not node.module:
                yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_is_pure(path):
    """No I/O, no clock, no chance: the standard library, attrs and cattrs only."""
    allowed = (sys.stdlib_module_names - OUTSIDE) | {"attrs", "cattrs", "modelslab_async"}
    assert set() == {name.partition(".")[0] for name in imported(path)} - allowed
    inside = [name for name in imported(path) if name.startswith("modelslab_async")]
    assert [] == [name for name in inside if not name.startswith("modelslab_async._core")]
    assert "TYPE_CHECKING" not in path.read_text()
    assert "__future__" not in path.read_text()


def place_in_core(parts):
    """The module of the core, or the folder of modules, that a dotted name leads to."""
    return parts[parts.index("_core") + 1]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_imports_run_downwards(path):
    """A module of the core knows only those before it."""
    place = place_in_core(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    if place == "__init__":
        return
    before = CORE_ORDER[: CORE_ORDER.index(place)]
    names = {place_in_core(name.split(".")) for name in imported(path) if "._core." in name}
    assert set() == names - {*before, *([place] if path.parent.name == place else [])}


LAYERS = [
    "_core",
    "_lasting",
    "_journal",
    "journal",
    "_transport",
    "_sources",
    "_turns",
    "_hearers",
    "_guards",
    "_waiters",
    "_downloads",
    "_inbox",
    "_looker",
    "_uploads",
    "_orders",
    "_uploader",
    "_asker",
    "_ledger",
    "_doubts",
    "_held",
    "_twins",
    "_places",
    "_submitter",
    "_deliveries",
    "_poller",
    "_ownership",
    "_waiting",
    "_client",
    "webhooks",
    "_batch",
    "batch",
    "fast",
    "_cli",
]


def layer_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_run_downwards(layer):
    """The way of a ticket is the order of the layers, and none looks up."""
    above = LAYERS[LAYERS.index(layer) + 1 :]
    for path in MODULES:
        if layer == path.relative_to(PACKAGE).with_suffix("").parts[0]:
            assert set() == {layer_of(name) for name in imported(path)} & set(above)


def test_the_emulator_knows_no_client():
    """What stands in for the service is built from the registry, never from the client."""
    allowed = ("_core.tickets", "_core.families", "_core.catalog", "_core.endpoint", "emulator")
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] == "emulator":
            inside = [name for name in imported(path) if name.startswith("modelslab_async")]
            names = [name.removeprefix("modelslab_async.") for name in inside]
            assert [] == [name for name in names if not name.startswith(allowed)]


def test_only_the_transport_sends():
    """No other layer of the library opens a connection, and only it imports parsers of HTTP."""
    senders = {"httpcore", "h11", "httptools", "socket", "ssl"}
    for path in MODULES:
        first = path.relative_to(PACKAGE).parts[0]
        if first not in ("_transport", "emulator", "_cli"):
            assert set() == {name.partition(".")[0] for name in imported(path)} & senders


def test_public_names():
    """They are sorted, they exist, and they say where users find them."""
    names = modelslab_async.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
    for name in names:
        public = getattr(modelslab_async, name)
        if isinstance(public, (type, FunctionType)):
            assert "modelslab_async" == public.__module__
    assert all(first != second for first, second in pairwise(names))
