"""A request that is given up: the kernel does not deliver it later."""

import asyncio
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

import httpx
import pytest
from transport.http_server import Server, read_request, request_to, until

from modelslab_async import TransportError
from modelslab_async._transport.abortive_close import discard_unsent_on_close
from modelslab_async._transport.httpx_adapter import HttpxClientAdapter, HttpxTransportAdapter
from modelslab_async._transport.transport_choice import as_transport

LOOPS = {"asyncio": asyncio.new_event_loop}
with suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


# Below httpx, anyio before 4.13 ends the stream before it closes the socket. So a server that reads
# at once sees a usual end, and the reset after it.
ENDS_OF_A_RESET = {False: (["reset"],), True: (["reset"],)}
if (4, 13) > tuple(map(int, version("anyio").split(".")[:2])):
    ENDS_OF_A_RESET[True] += (["closed"],)


class WatchingServer(Server):
    """Answers only the path `/answered`, and records how each connection ends."""

    def __init__(self, **options):
        super().__init__(**options)
        self.ends = []

    async def talk(self, reader, writer, requests):
        try:
            while True:
                requests.append(await read_request(reader))
                if "/answered" in requests[-1][0]:
                    writer.write(self.answer)
        except asyncio.IncompleteReadError:
            self.ends.append("closed")
        except ConnectionResetError:
            self.ends.append("reset")


@pytest.fixture(params=["own", "transport", "client"])
def over(request, own):
    """Each transport of the package, closed at the end of the block."""

    @asynccontextmanager
    async def opened():
        if request.param == "own":
            http = own(connections=4)
            yield http
            await http.aclose()
        else:
            kinds = {"transport": httpx.AsyncHTTPTransport, "client": httpx.AsyncClient}
            async with kinds[request.param]() as given:
                yield as_transport(given, 4)

    return opened


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
async def test_given_up_request_resets_its_connection(over, tls, is_used):
    """So the kernel discards what it has not sent, however long the network is interrupted."""
    async with WatchingServer(tls=tls) as server, over() as http:
        if is_used:
            await http.exchange(request_to(server, "/answered"))
        task = asyncio.create_task(http.exchange(request_to(server)))
        await until(lambda: sum(map(len, server.received)) == 1 + is_used)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await until(lambda: server.ends)
        assert (
            server.ends
            in ENDS_OF_A_RESET[isinstance(http, HttpxTransportAdapter | HttpxClientAdapter)]
        )


async def test_idle_connection_is_closed_without_a_reset(over, tls):
    """No request is in flight, so the server sees a usual end."""
    async with WatchingServer(tls=tls) as server:
        async with over() as http:
            await http.exchange(request_to(server, "/answered"))
        await until(lambda: server.ends)
        assert ["closed"] == server.ends


class ResettingServer(Server):
    """Resets each connection as soon as it has read a request."""

    async def talk(self, reader, writer, requests):
        requests.append(await read_request(reader))
        discard_unsent_on_close(writer.get_extra_info("socket"))
        writer.transport.abort()


@pytest.mark.parametrize("loop", LOOPS)
def test_error_of_a_closed_connection_stays(loop):
    """There is nothing to discard any more, and each event loop says so in its own way."""

    async def main():
        async with ResettingServer() as server, httpx.AsyncHTTPTransport() as given:
            with pytest.raises(TransportError, match="ReadError"):
                await as_transport(given, 4).exchange(request_to(server))

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
