"""The environment of processes that tests start. It starts none."""

import os


def environment_without_coverage() -> dict[str, str]:
    """Return the environment for a process that coverage must not measure."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
