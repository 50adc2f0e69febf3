"""A port that refuses connections, and that no other process gets meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


class ClosedPort:
    """
    A port of this machine that is taken, and at which nothing listens.

    Attributes:
        number: The port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"

    def release(self) -> None:
        """Give the port back, so that a server of the test can listen at it."""
        self._socket.close()


@contextmanager
def closed_port() -> Iterator[ClosedPort]:
    """Take a free port while the block runs."""
    port = ClosedPort()
    try:
        yield port
    finally:
        port.release()
