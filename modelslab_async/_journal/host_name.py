"""Names the host that this process runs on, without asking a name server."""

import os
import platform
from typing import Final

HOST_NAME_VARIABLE: Final = "MODELSLAB_HOST_NAME"


def this_host() -> str:
    """Return the name in the environment variable or, without one, that of the machine."""
    name = os.environ.get(HOST_NAME_VARIABLE) or platform.node()
    # A variable may contain bytes that are not UTF-8. A journal cannot store them.
    return name.encode("utf-8", "replace").decode()
