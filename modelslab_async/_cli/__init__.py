"""The command line's entry point. It says in one line what to install where an extra is missing."""

import sys

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")


def main() -> int:
    """Run the command line and give its exit code."""
    try:
        from .app import run  # noqa: PLC0415 -- importing it needs what may be missing.
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA_PACKAGES:
            raise
        print(  # noqa: T201 -- there is no click to say it with.
            f"modelslab-async: the command line needs {missing.name}; "
            'install it with: pip install "modelslab-async[cli,emulator]"',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130
    return run()
