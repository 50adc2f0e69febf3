"""Which tests of a layer run which lines, and how long each takes. It changes no source."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import coverage
import pytest

from .mutant import Mutant


@attrs.frozen
class CoveringTests:
    """
    What one run of a layer's tests has measured.

    Attributes:
        seconds: The tests, with the CPU seconds of each.
        lines: The tests that run a line, by module and line. The name of what runs at import is "".
    """

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    def of(self, mutant: Mutant) -> dict[str, float]:
        """
        Return the tests that run what is changed, the fastest first, with their CPU seconds.

        What runs at import concerns all tests, since a class may get methods without lines. Those
        that run a line of the module come first.
        """
        lines = self.lines.get(mutant.module, {})
        first, last = mutant.lines
        found = {test for line in range(first, last + 1) for test in lines.get(line, ())}
        near = {test for tests in lines.values() for test in tests}
        some = self.seconds.keys() if "" in found else self.seconds.keys() & found
        order = sorted(some, key=lambda test: (test not in near, self.seconds[test], test))
        return {test: self.seconds[test] for test in order}

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(attrs.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "CoveringTests":
        read = json.loads(path.read_text())
        lines = {
            module: {int(line): tests for line, tests in by_line.items()}
            for module, by_line in read["lines"].items()
        }
        return cls(read["seconds"], lines)


class Meter:
    """A pytest plugin that measures each test by itself."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(package)], messages=False
        )
        # Other cores of coverage may not switch contexts.
        self._coverage.set_option("run:core", "ctrace")
        self._seconds: dict[str, float] = {}

    def start(self) -> None:
        """Measure from here on. What is imported before is not seen."""
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.process_time()
        self._coverage.switch_context(item.nodeid)
        result: Any = yield
        self._coverage.switch_context("")
        self._seconds[item.nodeid] = time.process_time() - started
        return result

    def result(self) -> CoveringTests:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[int, list[str]]] = defaultdict(dict)
        for path in data.measured_files():
            module = Path(path).relative_to(self._package).as_posix()
            lines[module] = data.contexts_by_lineno(path)
        return CoveringTests(self._seconds, dict(lines))


def measure(package: Path, arguments: list[str], path: Path) -> None:
    """
    Run these tests in this process, which has not imported the package, and write the result.

    Raises:
        SystemExit: A test failed.
    """
    meter = Meter(package)
    meter.start()
    if pytest.main(arguments, plugins=[meter]):
        sys.exit("the tests fail without a mutant")
    meter.result().save(path)
