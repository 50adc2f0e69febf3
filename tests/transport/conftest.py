"""The default transport over each codec, and servers with and without TLS."""

from functools import partial

import pytest
from http_codecs import CODECS
from transport.http_server import trusted_server_context

from modelslab_async._transport.http11.transport import HTTP11Transport


@pytest.fixture(params=CODECS)
def own(request):
    """Connections of our own over each of the parsers: all keep the same promises."""
    return partial(HTTP11Transport, make_codec=CODECS[request.param])


@pytest.fixture
async def http(own):
    http = own(connections=4)
    yield http
    await http.aclose()


@pytest.fixture(params=["plain", "tls"])
def tls(request, monkeypatch, tmp_path):
    """The TLS context of a server that clients trust; None for a server without TLS."""
    if request.param == "plain":
        return None
    return trusted_server_context(monkeypatch, tmp_path, "127.0.0.1")
