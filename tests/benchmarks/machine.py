"""The machine that figures were found on: what it is, but neither its name nor its paths."""

import importlib.metadata
import importlib.util
import multiprocessing
import platform
from pathlib import Path
from typing import Any


def machine(*packages: str) -> dict[str, Any]:
    """What it is, with the versions of those packages that are there."""
    # Here and not above: some programs measure how much memory this import takes.
    from modelslab_async import __version__

    cpu, told = platform.machine(), Path("/proc/cpuinfo")
    if told.exists():
        models = [line for line in told.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    names = [name for name in packages if importlib.util.find_spec(name)]
    return {
        "cores": multiprocessing.cpu_count(),
        "cpu": cpu,
        "python": platform.python_version(),
        "modelslab_async": __version__,
        "packages": {name: importlib.metadata.version(name) for name in names},
    }
