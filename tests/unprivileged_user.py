"""Lets a block of a test run as a user who owns nothing. It changes no file."""

import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def unprivileged_user() -> Generator[None, None, None]:
    """Run a block as a user who owns nothing."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
