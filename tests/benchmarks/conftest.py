"""What the tests of the benchmarks share: the programs, which are no package's modules."""

import importlib.util
import sys
from pathlib import Path


def _load(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_load("plot")
_load("frugality_plot")
_load("frugality")
_load("learning")
_load("poller_cost_plot")
