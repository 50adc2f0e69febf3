"""
The command line: `modelslab-async` and its commands.

It turns arguments into calls of the library, and results into text and exit codes. It never
polls, saves or journals by itself.
"""

import sys

from .startup_interrupt import exit_on_interrupt

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        exit_on_interrupt()
        # The commands import rich later. Import it here too, so that a missing rich is reported
        # in the same way as a missing click.
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
        # The user pressed Ctrl-C before `exit_on_interrupt`, or after the command had ended.
        return 130
