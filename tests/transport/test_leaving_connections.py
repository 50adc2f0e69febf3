"""Cancelling, deadlines and closing leave no connection behind."""

import asyncio
import traceback
from contextlib import suppress
from itertools import count

import pytest
from transport.http_server import (
    KEY,
    Server,
    read_request,
    request_to,
    resolve_instantly,
    trusted_server_context,
    until,
)

from modelslab_async import (
    Call,
    Request,
    TransportError,
)
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.http11 import transport as http11_transport
from modelslab_async._transport.sender import Sender


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_cancelled_at_any_step_leaks_nothing(own, monkeypatch, tmp_path, secure):
    """Wherever a call is cancelled, its slot is free again and its socket is closed."""
    resolve_instantly(monkeypatch)
    context = trusted_server_context(monkeypatch, tmp_path, "127.0.0.1") if secure else None
    async with Server(tls=context) as server:
        cancelled = 0
        # The last call ends before it is cancelled, however many iterations its bytes take.
        for steps in count():
            http = own(connections=1)
            if secure:
                await http._dialer.ssl_loader.context()
            task = asyncio.create_task(http.exchange(request_to(server)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            cancelled += task.cancelled()
            async with asyncio.timeout(300):
                assert 200 == (await http.exchange(request_to(server))).status_code
            (origin,) = http._routes.values()
            assert 1 == len(origin._idle)
            assert set(origin._idle) == origin._open_connections
            await http.aclose()
            assert set() == origin._open_connections
            if steps >= 60 and not task.cancelled():
                break
        assert 5 < cancelled


async def test_cancelled_while_waiting_for_a_connection(own):
    """A cancelled waiter keeps no slot and delays no other waiter."""
    async with Server() as server:
        server.gate.clear()
        http = own(connections=1)
        tasks = [asyncio.create_task(http.exchange(request_to(server))) for _ in range(9)]
        await until(lambda: sum(map(len, server.received)) == 1)
        for task in tasks[::2]:
            task.cancel()
        server.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [False, True] * 4 + [False] == [hasattr(end, "status_code") for end in ends]
        await http.aclose()
    assert 2 == len(server.received)


@pytest.mark.parametrize("secure", [False, True], ids=["answer", "handshake"])
async def test_deadline_leaves_no_connection_and_frees_its_slot(own, secure):
    """A server that is silent, before or after the handshake, costs the deadline and no more."""

    class Silent(Server):
        async def talk(self, reader, _writer, _requests):
            await reader.read()

    async with Silent() as server:
        url = server.url.replace("http:", "https:") if secure else server.url
        sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=1.0)
        call = Call(method="POST", url=url, repeatable=True)
        for _ in range(3):
            with pytest.raises(TransportError, match=r"within 1 s"):
                await sender.send(sender.build(call))
        await until(lambda: all(writer.is_closing() for writer in server.writers))
        await sender.aclose()


@pytest.mark.modelslab_network
async def test_close_ends_exchanges_in_flight(own):
    """Exchanges that are in use, idle or waiting all end with an error that says so."""
    async with Server() as server:
        http = own(connections=2)
        await asyncio.gather(http.exchange(request_to(server)), http.exchange(request_to(server)))
        server.gate.clear()
        ends = [asyncio.create_task(http.exchange(request_to(server))) for _ in range(4)]
        await until(lambda: sum(map(len, server.received)) == 4)
        await http.aclose()
        left = []
        for end in ends:
            with pytest.raises(TransportError, match="the client was closed") as caught:
                await end
            left.append(caught.value.may_have_been_sent)
        assert [False, False, True, True] == sorted(left)
        server.gate.set()
        for url in (server.url, "http://another.example"):
            with pytest.raises(TransportError, match="the client was closed") as caught:
                await http.exchange(Request(method="GET", url=url))
            assert not caught.value.may_have_been_sent
        assert 2 == len(server.received)
        (origin,) = http._routes.values()
        assert origin._expiry_timer.cancelled()
        await http.aclose()


@pytest.mark.parametrize("steps", [1, 5, 7, 8, 9, 10, 11, 12, 13])
async def test_close_while_connecting(own, monkeypatch, steps):
    """A connection that is made too late is closed at once."""
    resolve_instantly(monkeypatch)
    async with Server() as server:
        http = own(connections=2)
        task = asyncio.create_task(http.exchange(request_to(server)))
        for _ in range(steps):
            await asyncio.sleep(0)
        await http.aclose()
        with suppress(TransportError):
            await task


async def test_thousand_connections_at_once(own, monkeypatch):
    """A thousand connections are opened, used at the same time, reused and closed."""
    monkeypatch.setattr(http11_transport, "_CONNECT_TIMEOUT_S", 300.0)
    resource = pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2500:
        pytest.skip("too few open files are allowed; raise the limit with: ulimit -n 2500")
    async with Server() as server:
        http = own(connections=1000)
        server.gate.clear()
        first = asyncio.gather(*(http.exchange(request_to(server)) for _ in range(1000)))
        await until(lambda: sum(map(len, server.received)) == 1000)
        server.gate.set()
        await first
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(1000)))
        assert 1000 == len(server.received)
        await http.aclose()
        await until(lambda: all(writer.is_closing() for writer in server.writers))


@pytest.mark.parametrize("how", ["nothing", "echo", "refused"])
async def test_no_error_shows_the_key(own, how):
    """Neither the text nor the local variables of the frames show it."""

    class Odd(Server):
        async def talk(self, reader, writer, _requests):
            head, body = await read_request(reader)
            if how == "echo":
                writer.write(head.encode().split(b"\r\n", 1)[1] + body + b"\r\n\r\n")

    async with Odd() as server:
        url = "http://127.0.0.1:1" if how == "refused" else server.url
        sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=5.0)
        for key_in in ("body", "header", "query"):
            call = Call(method="POST", url=url, key_in=key_in, repeatable=True)
            with pytest.raises(TransportError) as caught:
                await sender.send(sender.build(call))
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            ours = "".join(shown.format()).split("await sender.send(sender.build(call))")[1]
            assert KEY not in ours
            assert caught.value.__context__ is None
        await sender.aclose()
