"""`python -m modelslab_async._cli` is the same as the command `modelslab-async`."""

import sys

from . import main

sys.exit(main())
