"""When a connection is reused, and when it is closed."""

import asyncio
import socket
import threading
import time

import pytest
from transport.http_server import (
    KEY,
    OK,
    Server,
    request_to,
    until,
)

from modelslab_async import (
    Request,
)


async def test_connection_is_reused(http):
    """Sequential requests share one connection, and each response is complete."""
    async with Server() as server:
        for number in range(3):
            response = await http.exchange(request_to(server, f"/{number}?a=b", body=b"x" * number))
            assert (200, b"{}") == (response.status_code, response.body)
            assert [(b"Content-Length", b"2")] == list(response.headers)
        await http.aclose()
    (requests,) = server.received
    for number, (head, body) in enumerate(requests):
        assert b"x" * number == body
        assert head.startswith(f"POST /{number}?a=b HTTP/1.1\r\n")
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
        assert f"\r\nkey: {KEY}\r\n" in head


async def test_url_without_path_shares_the_connection_of_its_origin(http):
    """A query or a fragment that follows the host at once belongs to no origin."""
    async with Server() as server:
        for path in ("", "?a=1", "?a=/2", "#b", "/?a=3"):
            await http.exchange(request_to(server, path))
        await http.aclose()
    (requests,) = server.received
    assert ["/", "/?a=1", "/?a=/2", "/", "/?a=3"] == [head.split()[1] for head, _ in requests]


async def test_submit_opens_a_new_connection(http):
    """A request that must not be repeated gets a new connection, which others may use later."""
    async with Server() as server:
        for needs_new_connection in (False, True, False):
            await http.exchange(request_to(server, needs_new_connection=needs_new_connection))
        await http.aclose()
    assert [1, 2] == [len(requests) for requests in server.received]


async def test_get_without_body_has_no_content_length(http):
    """Only a request that may have a body declares its length."""
    async with Server() as server:
        await http.exchange(request_to(server, "", method="GET", body=b""))
        await http.aclose()
    head, _ = server.received[0][0]
    assert head.startswith("GET / HTTP/1.1\r\n")
    assert "content-length" not in head.lower()


async def test_connection_used_last_is_used_next(http):
    """In quieter times the other connections stay idle until they expire."""
    async with Server() as server:
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(4)))
        for _ in range(6):
            await http.exchange(request_to(server))
        await http.aclose()
    assert [1, 1, 1, 7] == sorted(len(requests) for requests in server.received)


async def test_connection_limit_holds_and_waiters_go_in_order(http):
    """Requests beyond the limit wait, and are sent in the order they came."""
    async with Server() as server:
        server.gate.clear()
        exchange = asyncio.gather(*(http.exchange(request_to(server, f"/{n}")) for n in range(20)))
        await until(lambda: sum(map(len, server.received)) == 4)
        await asyncio.sleep(0.02)
        assert 4 == sum(map(len, server.received))
        server.gate.set()
        await exchange
        await http.aclose()
    assert 4 == len(server.received)
    for requests in server.received:
        numbers = [int(head.split()[1][1:]) for head, _ in requests]
        assert sorted(numbers) == numbers


@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", True),
        (OK + OK, False),
        (OK + b"\r\n", False),
        (OK, True),
    ],
    ids=["Connection: close", "HTTP/1.0", "until close", "two answers", "a line too much", "cut"],
)
async def test_unusable_connection_serves_one_request(http, answer, closes):
    """A connection that the server closes, or that has surplus bytes, is not reused."""
    async with Server(answer, closes=closes) as server:
        for _ in range(3):
            assert b"{}" == (await http.exchange(request_to(server))).body
            await asyncio.sleep(0.01)
        assert 3 == len(server.received)
        await http.aclose()


async def test_unrequested_bytes_close_an_idle_connection(http):
    """They are never read as the response to the next request."""
    async with Server() as server:
        await http.exchange(request_to(server))
        server.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await server.writers[0].drain()
        (origin,) = http._routes.values()
        await until(lambda: not origin._idle)
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()
    assert 2 == len(server.received)


@pytest.mark.parametrize("farewell", [b"", OK])
async def test_closed_connection_is_noticed_by_a_blocked_loop(http, farewell):
    """If the server closed while the loop was blocked, the next request opens a new connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()

    def serve():
        for _ in range(2):
            sock, _ = listener.accept()
            with sock:
                while not sock.recv(65536).endswith(b"}"):
                    pass
                sock.sendall(OK)
                time.sleep(0.05)
                if farewell:
                    sock.sendall(farewell)
            closed.set()

    # Without a limit, a second exchange that never comes would block the test.
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    request = Request(
        method="POST", url=f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"{}"
    )
    await http.exchange(request)
    assert closed.wait(60)  # Blocks the loop.
    assert 200 == (await http.exchange(request)).status_code
    await asyncio.to_thread(thread.join, 60)
    listener.close()


async def test_idle_connection_expires(http, monkeypatch, leap):
    """A timer closes a connection that was idle for long, and leaves a younger one alone."""
    monkeypatch.setattr("modelslab_async._transport.http11.transport.KEEPALIVE_S", 300.0)
    async with Server() as server:
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(2)))
        leap(200.0)
        await http.exchange(request_to(server))
        leap(101.0)
        await until(lambda: any(writer.is_closing() for writer in server.writers))
        assert [False, True] == sorted(writer.is_closing() for writer in server.writers)
        leap(200.0)
        await until(lambda: all(writer.is_closing() for writer in server.writers))
        await http.exchange(request_to(server))
        assert 3 == len(server.received)
        await http.aclose()


async def test_expired_connection_is_not_reused_when_the_timer_is_late(http, monkeypatch):
    """The age is also checked when a connection is taken."""
    async with Server() as server:
        await http.exchange(request_to(server))
        monkeypatch.setattr("modelslab_async._transport.http11.transport.KEEPALIVE_S", 0.0)
        await http.exchange(request_to(server))
        assert 2 == len(server.received)
        await http.aclose()
