"""
The command line: `modelslab-async` and its commands.

The command line turns arguments into calls of the library, and results into text and exit codes.
It never polls, saves files or writes a journal by itself.
"""

import sys

from .startup_interrupt import exit_on_interrupt

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        exit_on_interrupt()
        # Find out now whether rich is installed, because the commands import rich only later. If it
        # is missing, the `except` below prints how to install it.
        import rich  # noqa: F401, PLC0415 -- it may be missing.

        from .app import run  # noqa: PLC0415

        return run()
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA_PACKAGES:
            raise
        print(  # noqa: T201 -- click itself may be the missing package.
            f"modelslab-async: the command line needs {missing.name}; "
            'install it with: pip install "modelslab-async[cli,emulator]", or '
            "pip install click rich if you run from a clone",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        # Ctrl-C came before `exit_on_interrupt` set its handler, or after the command had ended.
        return 130
