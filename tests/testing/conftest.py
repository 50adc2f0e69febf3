"""A loopback server that no request may reach, and programs that would send some."""

import socket
from collections.abc import Iterator

import pytest
from attrs import frozen

KEY = "a-key-that-may-not-leave"


@frozen
class UnaskedServer:
    """A port that accepts connections and answers none, so that a first one is noticed."""

    listener: socket.socket

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def is_unasked(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def unasked_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[UnaskedServer]:
    """Where a plain `Client()` would send; the test fails if it did."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        server = UnaskedServer(listener)
        monkeypatch.setenv("MODELSLAB_API_KEY", KEY)
        monkeypatch.setenv("MODELSLAB_BASE_URL", server.url)
        monkeypatch.setenv("MODELSLAB_LEGACY_BASE_URL", server.url)
        yield server
        assert server.is_unasked
