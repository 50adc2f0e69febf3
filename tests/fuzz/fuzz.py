"""
Runs one fuzz target under coverage guidance, until the time is up or an exception escapes.

`python tests/fuzz/fuzz.py poll_reply --seconds 300` needs `pip install atheris`. A finding is
printed with its traceback and its bytes, and the exit code is not 0.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["modelslab_async"]):
    sys.path.append(str(Path(__file__).parent))
    from targets import SEEDS, TARGETS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--max-bytes", type=int, default=4096)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[options.target]):
            (Path(corpus) / str(number)).write_bytes(seed)
        arguments = [
            f"-max_total_time={options.seconds}",
            f"-max_len={options.max_bytes}",
            f"-artifact_prefix={tempfile.gettempdir()}/{options.target}-",
            "-print_final_stats=1",
            corpus,
        ]
        atheris.Setup([sys.argv[0], *arguments], TARGETS[options.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
