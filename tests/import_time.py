"""Measures what an import loads and how long it takes, each time in a new interpreter."""

import json
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter

_RUNS = 31


def modules_after(statement: str) -> set[str]:
    """The names of the modules that a statement imports."""
    # Some are there before: coverage starts in each process.
    program = (
        f"import sys; before = set(sys.modules); {statement}; after = set(sys.modules); "
        "import json; print(json.dumps([*after - before]))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    return set(json.loads(output.stdout))


def ratio_of_times(arguments: Sequence[str], reference: Sequence[str]) -> float:
    """How many times as long one run of Python takes as another: a ratio of medians."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_RUNS):
        for measured, each in zip(times, (arguments, reference), strict=True):
            start = perf_counter()
            subprocess.run([sys.executable, *each], check=True, stdout=subprocess.DEVNULL)
            measured.append(perf_counter() - start)
    return median(times[0]) / median(times[1])
