"""Names the host that this process runs on, without asking a name server."""

import os
import platform
from typing import Final

HOST_NAME_VARIABLE: Final = "MODELSLAB_HOST_NAME"


def this_host() -> str:
    """
    Return the name of the host that this process runs on.

    The environment variable MODELSLAB_HOST_NAME replaces the name of the machine.
    """
    name = os.environ.get(HOST_NAME_VARIABLE) or platform.node()
    # An environment variable may contain bytes that are not UTF-8, which a journal cannot store.
    return name.encode("utf-8", "replace").decode()
