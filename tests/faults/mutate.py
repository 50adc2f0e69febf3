"""
Breaks the package in one place after another, and checks that tests fail each time.

    python tests/faults/mutate.py                   # all mutations, which takes some minutes
    python tests/faults/mutate.py "endless body"    # those whose name contains this

Each row of docs/explanation/faults.md has at least one mutation. Further ones send a submit again
that may have been read. A mutation that makes no test fail survives: then a test is missing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# A script finds only modules in its own folder by default.
sys.path.append(str(Path(__file__).parents[1]))

from faults.mutations import MUTATIONS
from faults.mutations.mutation import Mutation
from process_environment import environment_without_coverage

ROOT = Path(__file__).parents[2]
PACKAGE = "modelslab_async"


def broken_source(mutation: Mutation) -> str:
    """
    Return the source of the module with its one place broken.

    Raises:
        ValueError: The place does not exist, or there are several.
    """
    source = (ROOT / PACKAGE / mutation.module).read_text("utf-8")
    count = source.count(mutation.right)
    if count != 1:
        raise ValueError(f"{mutation.name}: {count} places in {mutation.module}, not one")
    return source.replace(mutation.right, mutation.wrong)


def survives(mutation: Mutation, folder: Path) -> bool:
    """
    Return whether the tests pass with a broken copy of the package in this folder.

    Raises:
        ValueError: The place does not exist, or there are several, or the tests did not run.
    """
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / PACKAGE / mutation.module).write_text(broken_source(mutation), "utf-8")
    tests = [str(Path(__file__).parent / path) for path in mutation.tests.split()]
    options = ["-x", "-q", "--timeout=60", "-p", "no:cacheprovider", "-k", mutation.selection]
    # Coverage would look for the copies after they are deleted. PYTHONSAFEPATH keeps the original
    # package out, also in processes that the tests start.
    paths = {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=ROOT,
        env=environment_without_coverage() | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise ValueError(f"{mutation.name}: the tests did not run\n{done.stdout[-500:]}")
    return not done.returncode


def main() -> None:
    """Try all mutations whose name contains the argument."""
    parser = argparse.ArgumentParser(description="Break the package, and check that tests fail.")
    parser.add_argument("name", nargs="?", default="", help="a part of a mutation's name")
    wanted = parser.parse_args().name
    selected = [mutation for mutation in MUTATIONS if wanted in mutation.name]
    bad = []
    for mutation in selected:
        try:
            with tempfile.TemporaryDirectory() as folder:
                survived = survives(mutation, Path(folder))
        except ValueError as error:
            bad.append(str(error))
            print(f"BROKEN    {error}", flush=True)  # noqa: T201
            continue
        if survived:
            bad.append(mutation.name)
        print(f"{'SURVIVED' if survived else 'killed':9} {mutation.name}", flush=True)  # noqa: T201
    print(f"{len(bad)} of {len(selected)} survived or are broken: {bad}")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
