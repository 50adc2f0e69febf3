"""Objects of httpx and of httpx2 are told apart, and httpx2 is never imported for its own sake."""

import httpx
import pytest
from import_time import modules_after

from modelslab_async import Client, Processing
from modelslab_async._transport.httpx_or_httpx2 import library_of
from modelslab_async._transport.transport_choice import as_transport

httpx2 = pytest.importorskip("httpx2")

RUNNING = {"status": "processing", "id": 1, "eta": 3}


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_objects_of_each_package_are_known(library):
    """A client and a transport lead to their own package."""
    async with library.AsyncClient() as client:
        assert library is library_of(client).module
    assert library is library_of(library.MockTransport(lambda _: None)).module


def test_other_objects_belong_to_no_package():
    """Neither a class nor a client that is not async is taken."""
    for given in (object(), httpx.AsyncClient, httpx2.AsyncClient, httpx2.Client()):
        assert library_of(given) is None
        with pytest.raises(TypeError, match="httpx or httpx2"):
            as_transport(given, 1)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("kind", ["transport", "client"])
async def test_request_has_the_classes_of_its_package(library, kind):
    """A transport of one package never sees a class of the other."""
    seen = []

    def answer(request):
        seen.append(request)
        return library.Response(200, json=RUNNING)

    transport = library.MockTransport(answer)
    given = transport if kind == "transport" else library.AsyncClient(transport=transport)
    async with Client("a-test-key-1234", http=given) as client:
        assert isinstance(await client.fetch("images:1"), Processing)
    [request] = seen
    for each, name in (
        (request, "Request"),
        (request.url, "URL"),
        (request.headers, "Headers"),
        (request.stream, "AsyncByteStream"),
    ):
        assert isinstance(each, getattr(library, name))


def test_package_does_not_import_httpx2():
    """It is used where the caller has imported it, and needs not be installed."""
    statement = (
        "import httpx; from modelslab_async import Client; Client('k', http=httpx.AsyncClient())"
    )
    loaded = modules_after(statement)
    assert "modelslab_async" in loaded
    assert not {"httpx2", "httpcore2"} & loaded
