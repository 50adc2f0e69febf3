"""Runs the command line: `python -m modelslab_async` is the same as `modelslab-async`."""

import sys

from ._cli import main

sys.exit(main())
