"""
Changes one small thing after another in four folders, and counts the changes that tests see.

    python tests/mutants/mutate_layers.py                  # a sample of all four folders
    python tests/mutants/mutate_layers.py --sample 0       # every mutant, which takes hours
    python tests/mutants/mutate_layers.py --layer _parsing --seed 2
    python tests/mutants/mutate_layers.py --name "Pace.backoff"
    python tests/mutants/mutate_layers.py --equivalent     # fails if a test sees one of these

Only the tests of the same folder count, and of these only the ones that run the changed line. A
mutant that they pass survives: then a test is missing, or no caller can see the change. Mutants of
the second kind stand with their reasons in equivalent.toml, and are left out. The program needs
Linux.

mutmut and cosmic-ray choose no tests by folder and take no sample by seed. mutmut leaves constants
of modules and classes alone, and cosmic-ray starts a new process for each mutant.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path

# A script finds only modules in its own folder by default.
sys.path.append(str(Path(__file__).parents[1]))

from mutants import trial
from mutants.covering_tests import CoveringTests, measure
from mutants.generator import LAYERS, equivalent_mutants, mutants_in, package_folder, sample
from mutants.mutant import Mutant

# The share of the tried mutants that tests must see.
MIN_SEEN = 0.95


def measured(layers: tuple[str, ...], folder: Path) -> dict[str, CoveringTests]:
    """Return which tests of each layer run which lines. Files of an earlier run are read again."""
    paths, running = {}, []
    for layer in layers:
        tests = trial.ROOT / "tests" / layer.removeprefix("_")
        sources = sorted([*(package_folder() / layer).rglob("*.py"), *tests.rglob("*.py")])
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        path = paths[layer] = folder / f"{layer}-{digest[:12]}.json"
        if not path.exists():
            log, arguments = path.with_suffix(".log"), [str(tests), *trial.PYTEST_OPTIONS]
            process = trial.start(measure, package_folder(), arguments, path, log=log)
            running.append((process, log))
    for process, log in running:
        process.join()
        if process.exitcode:
            raise SystemExit(f"the tests fail without a mutant:\n{log.read_text()}")
    return {layer: CoveringTests.load(path) for layer, path in paths.items()}


def survivors(
    mutants: list[Mutant], tests: dict[str, CoveringTests], folder: Path, *, jobs: int
) -> list[Mutant]:
    """Try all mutants, and return those that no test sees."""
    waiting, running, survived = list(reversed(mutants)), {}, []
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            covering = tests[mutant.layer].of(mutant)
            log = folder / f"trial-{len(waiting)}.log"
            process = trial.start(trial.run_tests, mutant, covering, log=log)
            running[process.sentinel] = process, mutant, covering, log
        for sentinel in wait(list(running)):
            process, mutant, covering, log = running.pop(sentinel)
            process.join()
            if is_unseen := not process.exitcode:
                survived.append(mutant)
            verdict = "SURVIVED" if is_unseen else "seen"
            print(f"{verdict:8} {len(covering):4} tests  {mutant.name}", flush=True)  # noqa: T201
            log.unlink()
    return survived


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Change the package, and check that tests fail.")
    parser.add_argument("--sample", type=int, default=150, help="how many mutants; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="which mutants")
    parser.add_argument("--layer", action="append", choices=LAYERS, help="this folder only")
    parser.add_argument("--name", default="", help="a part of a mutant's name")
    parser.add_argument("--equivalent", action="store_true", help="those in equivalent.toml only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--measured", type=Path, help="a folder to keep which tests run which line")
    return parser.parse_args()


def main() -> None:
    """Try a sample of the mutants, and fail if tests see too few."""
    options = _parse_options()
    layers, known = tuple(options.layer or LAYERS), equivalent_mutants()
    mutants = mutants_in(package_folder(), layers)
    named = [mutant for mutant in mutants if options.name in mutant.name]
    chosen = sample(named, options.sample or len(named), seed=options.seed)
    tried = [mutant for mutant in chosen if (mutant.name in known) == options.equivalent]
    began = time.monotonic()
    trial.load_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (kept := options.measured or folder).mkdir(exist_ok=True)
        tests = measured(layers, kept)
        survived = survivors(tried, tests, folder, jobs=options.jobs)
    count, missed = Counter(each.layer for each in tried), Counter(each.layer for each in survived)
    for layer in layers:
        print(f"{layer:12} {count[layer] - missed[layer]} of {count[layer]} seen")  # noqa: T201
    print(  # noqa: T201
        f"{len(tried) - len(survived)} of {len(tried)} mutants seen, {len(chosen) - len(tried)} "
        f"left out, {time.monotonic() - began:.0f} s"
    )
    if options.equivalent:
        sys.exit(len(survived) < len(tried))
    sys.exit(len(survived) > (1 - MIN_SEEN) * len(tried))


if __name__ == "__main__":
    main()
