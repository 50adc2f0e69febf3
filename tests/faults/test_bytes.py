"""Bytes and time are bounded: by caps on bodies and headers, and by the deadline of a poll."""

import asyncio
import contextlib
import os
import sys
import time
import tracemalloc

import httpx
import pytest
from everyday import cases
from http_codecs import HTTP11_TRANSPORTS

from modelslab_async import Client, Processing, TransportError, UnreadableReply
from modelslab_async._transport.transport_protocol import MAX_BODY_BYTES
from modelslab_async.emulator import Emulator, Faults, ScriptedReply, Traffic, run_faulty_server
from modelslab_async.emulator.faults.faulty_connection import FaultyConnection

MIB = 1 << 20
HOSTILE = ["nested_objects", "huge_body", "endless_headers"]
MORE_HOSTILE = ["gzip_bomb", "nested_lists", "huge_number", "endless_header_value", "endless"]
TRANSPORTS = {
    **HTTP11_TRANSPORTS,
    "httpx": httpx.AsyncHTTPTransport,
}

# Runs in a process of its own: polls a small reply first, then the hostile one.
POLL_SCRIPT = """
import asyncio, pathlib, re, resource, sys
from modelslab_async import Client, ModelsLabError

STATUS = pathlib.Path("/proc/self/status")

def peak():
    # On Linux, the figure of getrusage begins with the size of the parent process.
    if STATUS.exists():
        return 1024 * int(re.search(r"VmHWM:\\s*([0-9]+)", STATUS.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

async def main():
    async with Client("a-key-1234", base_url=sys.argv[1], timeout=300.0) as client:
        await client.fetch("realtime:1")
        before = peak()
        try:
            said = type(await client.fetch("realtime:2")).__name__
        except ModelsLabError as error:
            said = type(error).__name__
    print(said, peak() - before)

asyncio.run(main())
"""


async def poll_in_a_process(url):
    """Poll in another process; return the result's type, and by how many bytes the process grew."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        POLL_SCRIPT,
        url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    out, _ = await process.communicate()
    replies, growth = out.decode().split()
    return replies, int(growth)


@pytest.mark.parametrize("name", cases(HOSTILE, MORE_HOSTILE))
async def test_hostile_reply_takes_little_memory(name):
    """No hostile reply makes the process grow by more than 16 MiB."""
    async with run_faulty_server(Emulator(), Faults(script=[None, name])) as url:
        replies, growth = await poll_in_a_process(url)
    assert replies in ("TransportError", "UnreadableReply")
    assert growth <= 16 * MIB


async def all_closed(traffic):
    """Wait until no connection is open. An idle connection would stay open for longer."""
    async with asyncio.timeout(300):
        while traffic.open_connection_count:  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.01)


def list_of(item):
    """A result with as many items as the cap allows."""
    items = [item] * ((MAX_BODY_BYTES - 200) // 9)
    return b'{"status":"processing","x":[' + b",".join(items) + b"]}"


# JSON bodies just below the cap that are hostile to a parser. Each is made when it is needed.
BODIES = {
    "huge_body": lambda: b" " * (MAX_BODY_BYTES - 200),
    "text": lambda: '{"status":"processing","x":"\U0001f600"}'.encode().ljust(MAX_BODY_BYTES - 200),
    "numbers": lambda: list_of(b"1.5"),
    "lists": lambda: list_of(b"[]"),
    "objects": lambda: list_of(b'{"a":{}}'),
    "a page": lambda: b"<p>" * ((MAX_BODY_BYTES - 200) // 3),
}


@pytest.mark.parametrize("name", cases([*BODIES][:2], [*BODIES][2:]))
async def test_body_below_the_cap_takes_little_memory(name):
    """The longest allowed body makes the process grow by at most 16 MiB."""
    emulator = Emulator()
    emulator.script("realtime:2", [ScriptedReply(200, BODIES[name]())])
    async with run_faulty_server(emulator) as url:
        _, growth = await poll_in_a_process(url)
    assert growth <= 16 * MIB


async def test_large_result_takes_three_times_its_length():
    """A picture is held as bytes, as a string and as a result, and in the end only as a result."""
    picture = "A" * (MAX_BODY_BYTES - 200)
    emulator = Emulator()
    body = b'{"status":"success","output":["%s"]}' % picture.encode()
    emulator.script("realtime:2", [ScriptedReply(200, body)])
    async with run_faulty_server(emulator) as url:
        replies, growth = await poll_in_a_process(url)
    assert "Success" == replies
    assert growth <= 3.3 * len(body)


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_body_declared_too_long_is_not_read(kind):
    """If the length is declared, no byte of the body is waited for."""
    traffic = Traffic()
    async with (
        run_faulty_server(Emulator(), Faults(shares={"huge_body": 1.0}), traffic=traffic) as url,
        Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=60.0) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(TransportError, match=f"longer than {MAX_BODY_BYTES} bytes"):
                await client.fetch("realtime:1")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < MAX_BODY_BYTES / 3


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_body_is_cut_off_at_the_cap(kind):
    """Little more than the cap is read, whether a body declares its length or never ends."""
    for name in ("huge_body", "endless"):
        async with (
            run_faulty_server(Emulator(), Faults(shares={name: 1.0})) as url,
            Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=60.0) as client,
        ):
            with pytest.raises(TransportError, match=f"longer than {MAX_BODY_BYTES} bytes"):
                await client.fetch("realtime:1")


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("name", ["endless_headers", "endless_header_value"])
async def test_endless_headers_are_cut_off_early(name, kind, monkeypatch):
    """Endless headers are given up after a few bytes, long before the deadline."""
    send, sent_bytes = FaultyConnection.send, 0

    async def counted(self, data):
        nonlocal sent_bytes
        sent_bytes += len(data)
        await send(self, data)

    monkeypatch.setattr(FaultyConnection, "send", counted)
    async with (
        run_faulty_server(Emulator(), Faults(shares={name: 1.0})) as url,
        Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=300.0) as client,
    ):
        with pytest.raises(TransportError, match=r"not an HTTP response|buffer too long"):
            await client.fetch("realtime:1")
    # The buffers of the system take some megabytes of the gigabyte that the server has.
    assert sent_bytes < 64 * MIB


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("name", ["drip", "endless_drip", "hang", "hang_before"])
async def test_deadline_holds(name, kind, leap):
    """A reply that comes byte by byte, or never, ends with the deadline of the poll."""
    kinds = {"connections": [name]} if name == "hang_before" else {"shares": {name: 1.0}}
    traffic = Traffic()
    async with (
        run_faulty_server(Emulator(), Faults(delay=0.01, **kinds), traffic=traffic) as url,
        Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=30_000.0) as client,
    ):
        polling = asyncio.create_task(client.fetch("realtime:1"))
        while not traffic.open_connection_count:  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.01)
        leap(29_700.0)
        await asyncio.sleep(0.01)
        assert not polling.done()
        leap(300.0)
        with pytest.raises(TransportError, match=r"within 30000 s"):
            await polling
        # Its connection is not kept, because more bytes may come.
        await all_closed(traffic)


async def test_made_up_status_words_do_not_fill_the_log(caplog):
    """Little is logged of unknown status words, however long or many they are."""
    emulator = Emulator()
    words = ["x" * 1_000_000, *map(str, range(2000))]
    replies = [ScriptedReply(200, b'{"status":"%s"}' % word.encode()) for word in words]
    async with Client("k", http=httpx.ASGITransport(app=emulator)) as client:
        for number, each in enumerate(replies):
            emulator.script(("realtime", number), [each])
            await client.fetch(("realtime", number))
    messages = [
        each.getMessage() for each in caplog.records if "unknown status" in each.getMessage()
    ]
    assert 1000 == len(messages)
    assert max(map(len, messages)) < 300


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_endless_interim_responses_are_given_up_early(kind):
    """More than a hundred interim responses are an error, long before the deadline."""
    traffic = Traffic()
    async with (
        run_faulty_server(
            Emulator(), Faults(shares={"endless_interim": 1.0}), traffic=traffic
        ) as url,
        Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=60.0) as client,
    ):
        with pytest.raises(TransportError, match="more than 100 interim responses"):
            await client.fetch("realtime:1")
        await all_closed(traffic)


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_interim_responses_do_not_hold_the_event_loop(kind):
    """Thirty-two floods at once hold no loop iteration for long, and no deadline moves."""
    loop, lags = asyncio.get_running_loop(), []

    async def measure_lag():
        while True:
            # The CPU of this thread: other processes do not count.
            started_at = time.thread_time()
            await asyncio.sleep(0)
            lags.append(time.thread_time() - started_at)

    async with (
        run_faulty_server(Emulator(), Faults(shares={"endless_interim": 1.0})) as url,
        Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=60.0) as client,
    ):
        measuring = asyncio.create_task(measure_lag())
        started_at = loop.time()
        results = await asyncio.gather(
            *(client.fetch(("realtime", number)) for number in range(32)), return_exceptions=True
        )
        duration = loop.time() - started_at
        measuring.cancel()
    assert {TransportError} == set(map(type, results))
    assert {True} == {"interim" in str(each) for each in results}
    assert duration < 30.0
    assert max(lags) < 0.5


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("count", [100, 101])
@pytest.mark.parametrize("piece_bytes", [1, 7, 4096])
async def test_a_hundred_interim_responses_are_accepted(kind, count, piece_bytes):
    """They are counted however the network cuts them."""
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" * count
    answer += b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"status": "processing" } '

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(answer), piece_bytes):
                writer.write(answer[start : start + piece_bytes])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client("k", base_url=url, http=TRANSPORTS[kind](), timeout=300.0) as client:
            if count == 100:
                assert isinstance(await client.fetch("realtime:1"), Processing)
            else:
                with pytest.raises(TransportError, match="more than 100 interim"):
                    await client.fetch("realtime:1")


async def test_compressed_replies_are_not_decompressed():
    """A reply with an encoding that was not asked for is an error."""
    for name in ("unrequested_gzip", "six_encodings", "gzip_bomb"):
        async with (
            run_faulty_server(Emulator(), Faults(shares={name: 1.0})) as url,
            Client("k", base_url=url) as client,
        ):
            with pytest.raises(UnreadableReply):
                await client.fetch("realtime:1")
