"""
Runs tests on one mutant in a forked process. It changes no file.

The process imports the package after the fork, and gets the changed source for one module. All
else that the tests import is loaded before the fork, which saves most of the time of a run.
"""

import importlib.abc
import importlib.util
import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from .generator import PACKAGE, package_folder
from .mutant import Mutant

ROOT = Path(__file__).parents[2]
_FORK = multiprocessing.get_context("fork")
# A mutant may loop for ever. CPU time does not depend on what else the machine does.
_CPU_S = 5.0
_CPU_FACTOR = 10
_IMPORT_CPU_S = 60.0
_MEMORY_BYTES = 4 << 30
_PROFILE = "mutants"
PYTEST_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-m", "not thorough"),
    # For its rewriting of assertions, pytest would load an installed package past the mutant.
    "--assert=plain",
    f"--hypothesis-profile={_PROFILE}",
    # The libraries that are loaded before the fork include plugins of pytest.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


class _MutantLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)


class _MutantFinder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._path = package_folder() / mutant.module
        self._name = ".".join([PACKAGE, *Path(mutant.module).with_suffix("").parts])
        self._source = mutant.source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        loader = _MutantLoader(fullname, str(self._path), self._source)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def _limit_cpu(seconds: float) -> None:
    """End this process once it has used so many CPU seconds from here on, give or take one."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


class _Selection:
    """A pytest plugin that runs the tests it is given, in their order, each with a limit."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[test] for test in self._seconds if test in found]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        _limit_cpu(_CPU_S + _CPU_FACTOR * self._seconds[item.nodeid])


def load_libraries() -> None:
    """Import what the tests use and the package does not depend on."""
    import anyio  # noqa: F401, PLC0415
    import cattrs  # noqa: F401, PLC0415
    import h11  # noqa: F401, PLC0415
    import httpx  # noqa: F401, PLC0415
    import hypothesis  # noqa: PLC0415
    import pytest_asyncio  # noqa: F401, PLC0415
    import respx  # noqa: F401, PLC0415
    import sybil  # noqa: F401, PLC0415
    import uvicorn  # noqa: F401, PLC0415

    assert PACKAGE not in sys.modules
    # The same examples in each run. The smallest one that fails is of no use here.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        _PROFILE, database=None, derandomize=True, phases=phases, deadline=None
    )


def start(target: Callable[..., int | None], *arguments: Any, log: Path) -> ForkProcess:
    """Call the function in a forked process that writes its output to a file."""

    def run() -> None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(ROOT)
        sys.exit(target(*arguments))

    process = _FORK.Process(target=run)
    process.start()
    return process


def run_tests(mutant: Mutant, seconds: dict[str, float]) -> int:
    """
    Run tests on the mutant in this process, and return 0 if none fails.

    Args:
        mutant: The change.
        seconds: The tests in their order, with the CPU seconds of each without the change.
    """
    if not seconds:
        return pytest.ExitCode.OK
    _limit_cpu(_IMPORT_CPU_S)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    sys.meta_path.insert(0, _MutantFinder(mutant))
    files = dict.fromkeys(test.partition("::")[0] for test in seconds)
    code = pytest.main([*PYTEST_OPTIONS, *files], plugins=[_Selection(seconds)])
    return pytest.ExitCode.OK if code == pytest.ExitCode.NO_TESTS_COLLECTED else code
