"""Names the host that this process runs on, without asking a name server."""

import os
import platform
from typing import Final

HOST_NAME_VARIABLE: Final = "MODELSLAB_HOST_NAME"


def this_host() -> str:
    """
    Return the name of the host that this process runs on.

    If the environment variable MODELSLAB_HOST_NAME is set, its value is the name.
    """
    name = os.environ.get(HOST_NAME_VARIABLE) or platform.node()
    # An environment variable may contain bytes that are not UTF-8, which a journal cannot store.
    return name.encode("utf-8", "replace").decode()
