"""The emulator on a socket, and the parts of ASGI that servers use."""

import asyncio
import socket

import httpx
import pytest

from modelslab_async.emulator import Emulator, run_faulty_server, run_server, serve


async def test_served_emulator_answers_and_closes_its_port(emulator):
    """Requests, files and links work over a real connection. Afterwards the port is closed."""
    emulator.add_job("realtime:5", duration=0)

    async with run_server(emulator) as base_url, httpx.AsyncClient(timeout=60.0) as http:
        reply = await http.post(f"{base_url}/v6/realtime/fetch/5", json={"key": "k"})
        (link,) = reply.json()["output"]
        file = await http.get(link)
        head = await http.head(link)

    assert base_url.startswith("http://127.0.0.1:")
    assert link.startswith(base_url.removesuffix("/api"))
    assert (file.content[:2], head.status_code) == (b"\xff\xd8", 200)
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", httpx.URL(base_url).port)


async def test_port_in_use_is_an_error(emulator):
    """The emulator does not start on a port that another server uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = run_server(emulator, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await serving.__aenter__()


async def test_serve_runs_until_cancelled(emulator):
    """It calls `ready` with the base URL, and ends when its task is cancelled."""
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(emulator, ready=ready.set_result))

    base_url = await ready
    async with httpx.AsyncClient(timeout=60.0) as http:
        reply = await http.post(f"{base_url}/v6/images/fetch", json={"key": "k", "request_id": 1})
    task.cancel()

    assert reply.json()["status"] == "failed"
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_serve_needs_no_callback(emulator, monkeypatch):
    """The callback is optional where the port is known."""
    # The server gets this socket, so that no other process can take the port before.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def listen(address, **_options):
        assert ("127.0.0.1", port) == address
        return listener

    monkeypatch.setattr(socket, "create_server", listen)
    task = asyncio.create_task(serve(emulator, port=port))

    async with httpx.AsyncClient(timeout=60.0) as http:
        reply = await http.get(f"http://127.0.0.1:{port}/api/nowhere")
    task.cancel()

    assert reply.status_code == 404
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_idle_connection_is_kept_for_a_minute(emulator, leap):
    """A client that stood still sends its next request on the connection that it has kept."""
    async with run_server(emulator) as base_url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(base_url).port)
        for _ in range(2):
            writer.write(b"GET /api/nowhere HTTP/1.1\r\nhost: emulator.test\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 404")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            leap(30.0)
            # Timers that are due now run before the next request is read.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()


async def run(emulator, scope, messages):
    """Run one ASGI conversation, and return what was sent."""
    sent = []
    incoming = iter(messages)

    async def receive():
        return next(incoming)

    async def send(message):
        sent.append(message)

    await emulator(scope, receive, send)
    return sent


async def test_lifespan_events_are_acknowledged(emulator):
    """Startup and shutdown are both acknowledged."""
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = await run(emulator, {"type": "lifespan"}, events)

    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_websockets_are_refused(emulator):
    """The service has no websockets."""
    sent = await run(emulator, {"type": "websocket"}, [{"type": "websocket.connect"}])

    assert sent == [{"type": "websocket.close", "code": 1000}]


HTTP = {
    "type": "http",
    "method": "POST",
    "path": "/api/v6/images/fetch/5",
    "scheme": "http",
    "query_string": b"key=k",
    "headers": [],
}


async def test_disconnected_client_gets_no_reply(emulator):
    """A disconnect is not an error, and nothing is sent."""
    assert await run(emulator, HTTP, [{"type": "http.disconnect"}]) == []
    assert emulator.request_count == 1


async def test_bug_in_the_emulator_gives_500_and_a_traceback():
    """The client gets a 500 as from the service, and the exception is raised."""

    def broken_clock():
        raise RuntimeError("the clock is broken")

    emulator = Emulator(clock=broken_clock)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    with pytest.raises(RuntimeError, match="the clock is broken"):
        await emulator(HTTP, receive, send)
    assert (sent[0]["status"], sent[1]["body"]) == (500, b'{"message":"Server Error"}')


@pytest.mark.parametrize(
    ("port", "error"), [(65536, ValueError), (-1, ValueError), ("80", TypeError)]
)
@pytest.mark.parametrize("run", [run_server, run_faulty_server])
async def test_number_that_is_no_port_is_refused(emulator, run, port, error):
    """The message says which numbers are allowed."""
    with pytest.raises(error, match=r"^port is a number from 0 to 65535, "):
        async with run(emulator, port=port):
            pass
