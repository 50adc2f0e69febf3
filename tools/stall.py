"""Runs a command whose processes stand still now and then, as on a machine with too much to do.

`python tools/stall.py pytest -q tests/polling` stops one of the command's processes, or all of
them, for up to two seconds at a time and every two seconds or so. A test that fails only here
depends on the speed of the machine, or has found a defect.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

ONE_OF_THEM = 0.7


def family_of(root: int) -> list[int]:
    """The process and all that descend from it."""
    found = [root]
    for pid in found:
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, listing.read_text().split())
    return found


def stall(pids: list[int], seconds: float) -> None:
    """Stop the processes for that long."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def main() -> int:
    """Run the command to its end; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds of one stall")
    parser.add_argument("--every", type=float, default=2.0, help="average seconds between stalls")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    random = Random(options.seed)  # noqa: S311 -- nothing here is secret.
    with subprocess.Popen(options.command) as process:  # noqa: S603 -- the caller's own command.
        try:
            while process.poll() is None:
                time.sleep(random.expovariate(1 / options.every))
                pids = family_of(process.pid)
                if random.random() < ONE_OF_THEM:
                    pids = [random.choice(pids)]
                stall(pids, random.uniform(0.1, options.longest))
        except KeyboardInterrupt:
            process.terminate()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
