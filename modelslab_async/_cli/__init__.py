"""
The command line: `modelslab-async` and its commands.

This package turns arguments into calls of the library, and results into text and exit codes. The
library itself polls, saves files and writes journals.
"""

import sys

from .stop_signals import stop_signals

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        stop_signals.install()
        # Import rich now, although only some commands need it. If rich is missing, the `except`
        # below prints how to install it.
        import rich  # noqa: F401, PLC0415 -- it may be missing.

        from .app import run  # noqa: PLC0415

        code = run()
        stop_signals.end_process()
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
        # Ctrl-C came before the handlers were set, or a signal came after the command had ended.
        return stop_signals.exit_code
    return code
