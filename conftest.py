"""Runs every Python block of README.md and docs/ against the emulator, as a reader would."""

import ast
import asyncio
import inspect
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

from modelslab_async import FAMILIES
from modelslab_async.emulator import Emulator, Jobs, run_server

# `pytester` runs the tests of the plugin. pytest takes this list in the root conftest only.
pytest_plugins = ["modelslab_async.testing", "pytester"]

_TICKET = re.compile(rf"\b({'|'.join(FAMILIES)}):([\w/-]*\d[\w/-]*)")
# `("images", number) for number in range(201, 251)`
_TICKETS = re.compile(r"""\("(\w+)", (\w+)\) for \2 in range\((\d+), (\d+)\)""")
_ROOT = Path(__file__).parent
_LONG_FOLDERS = ("batch", "account", "cli", "faults", "docs", "transport", "submitting")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _rank(path: Path) -> int:
    """The position of a file's folder among the long ones."""
    folders = [_ROOT / "tests" / folder for folder in _LONG_FOLDERS]
    return next((rank for rank, each in enumerate(folders) if each in path.parents), len(folders))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Keep the blocks of a page together and in order, even if a plugin shuffles the tests.

    The folders whose tests take longest come first, so that no process waits for another at the
    end. Then modules, which mostly compute, and pages, which mostly wait, take turns.
    """
    paths = dict.fromkeys(item.path for item in items)
    pages = [path for path in paths if path.suffix == ".md"]
    modules = [path for path in paths if path.suffix != ".md"]
    orders = {
        path: (_rank(path), number / len(group), str(path))
        for group in (pages, modules)
        for number, path in enumerate(group)
    }

    def order(item: pytest.Item) -> tuple[int, float, str, int]:
        line = (item.location[1] or 0) if item.path.suffix == ".md" else 0
        return *orders[item.path], line

    items.sort(key=order)


@contextmanager
def _served(emulator: Emulator) -> Iterator[str]:
    """An emulator on a socket, in a thread of its own; gives its base URL."""
    up, base_url, stop = threading.Event(), "", asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        nonlocal base_url
        async with run_server(emulator) as base_url:
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    up.wait(timeout=300)
    try:
        yield base_url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def _emulator_for(text: str) -> Iterator[str]:
    """The emulator with every ticket that a page names."""
    emulator = Emulator(jobs=Jobs(duration=(0.2, 0.6), seed=1))
    for family, id_ in _TICKET.findall(text):
        emulator.add_job((family, id_))
    for family, _, first, end in _TICKETS.findall(text):
        for number in range(int(first), int(end)):
            emulator.add_job((family, number))
    with _served(emulator) as base_url:
        yield base_url


@pytest.fixture
def serving() -> Callable[[Emulator], AbstractContextManager[str]]:
    """For tests whose code under test is given nothing but a URL."""
    return _served


@pytest.fixture
def program_of() -> Callable[[str], str]:
    """The program on a page of the documents, its first block, as a reader would save it."""

    def read(page: str) -> str:
        return _BLOCK.findall((_ROOT / "docs" / page).read_text())[0]

    return read


@contextmanager
def _database_for(text: str) -> Iterator[str]:
    """The address of a database, if a page needs one."""
    if "DATABASE_URL" not in text:
        yield ""
        return
    with PostgresServer.running() as server:
        yield server.address


@contextmanager
def _cluster_for(text: str) -> Iterator[str]:
    """The address of a Dask scheduler with one worker in this process, if a page needs one."""
    if "DASK_SCHEDULER_ADDRESS" not in text:
        yield ""
        return
    distributed = pytest.importorskip("distributed", reason="pip install distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(processes=False, protocol="tcp", **options) as cluster:
        yield cluster.scheduler_address


def _run(example: Example) -> None:
    """Run one block; where it awaits at its top level, a reader would run it in a REPL that can."""
    code = compile(
        "\n" * (example.line + example.parsed.line_offset) + example.parsed,
        example.path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    result = eval(code, example.namespace)  # noqa: S307 -- our own documents, as their readers run.
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.fixture(scope="module")
def documented(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a page expects of its reader: a key, and a service that knows the page's tickets."""
    text = Path(request.path).read_text()
    with (
        pytest.MonkeyPatch.context() as patch,
        _database_for(text) as database,
        _cluster_for(text) as scheduler,
        _emulator_for(text) as url,
    ):
        patch.setenv("DATABASE_URL", database)
        patch.setenv("DASK_SCHEDULER_ADDRESS", scheduler)
        patch.setenv("MODELSLAB_API_KEY", "a-key-for-the-docs")
        patch.setenv("APP_SECRET", "a-secret-for-the-docs")
        patch.setenv("MODELSLAB_BASE_URL", url)
        patch.setenv("MODELSLAB_LEGACY_BASE_URL", url)
        patch.chdir(request.getfixturevalue("tmp_path_factory").mktemp("docs"))
        yield


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=_run)],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    fixtures=["documented"],
).pytest()
