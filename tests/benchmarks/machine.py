"""Describes the machine of a benchmark run. Records neither its name nor any path."""

import importlib.metadata
import importlib.util
import multiprocessing
import platform
from pathlib import Path
from typing import Any


def machine(*packages: str) -> dict[str, Any]:
    """Cores, CPU, Python, and the versions of the given packages that are installed."""
    # Imported late, because some benchmarks measure the memory of this import.
    from modelslab_async import __version__

    cpu, cpuinfo = platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    names = [name for name in packages if importlib.util.find_spec(name)]
    return {
        "cores": multiprocessing.cpu_count(),
        "cpu": cpu,
        "python": platform.python_version(),
        "modelslab_async": __version__,
        "packages": {name: importlib.metadata.version(name) for name in names},
    }
