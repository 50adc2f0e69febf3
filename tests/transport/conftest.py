"""The default transport over each codec."""

from functools import partial

import pytest
from http_codecs import CODECS

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
