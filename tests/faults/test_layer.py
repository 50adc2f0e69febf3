"""The faulty server itself: its settings, the faults it commits, and that it ends."""

import asyncio
import contextlib
import json
import ssl

import httpx
import pytest
import trustme

from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, run_faulty_server, run_server
from modelslab_async.emulator.faults.connection_faults import CONNECTION_FAULTS, REQUEST_FAULTS
from modelslab_async.emulator.faults.fault_plan import FAULTS, FaultSequence
from modelslab_async.emulator.faults.wrong_replies import WRONG_REPLIES

ASK = {"key": "k"}


async def ask(url, **more):
    async with httpx.AsyncClient(timeout=60.0, **more) as http:
        return await http.post(f"{url}/v6/realtime/fetch/1", json=ASK)


def emulator_with_job():
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))
    emulator.add_job("realtime:1")
    return emulator


def test_command_line_form_is_parsed():
    """Shares and settings are read from one line."""
    faults = Faults.parse(
        "reset_after=0.1, html=0.05,outage=30,seed=7,delay=0.5,hint=2,"
        "foreign_url=http://x.example/a"
    )
    assert {"reset_after": 0.1, "html": 0.05} == faults.shares
    assert (30.0, 7, 0.5, 2.0) == (faults.outage, faults.seed, faults.delay, faults.hint)
    assert "http://x.example/a" == faults.foreign_url
    assert {"hang": 1.0} == Faults.parse("hang").shares
    assert Faults() == Faults.parse("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("htlm=0.1", "unknown fault 'htlm'; did you mean 'html'"),
        ("zzz", "unknown fault 'zzz'\nknown faults: bad_chunk_size, "),
        ("html=much", "html takes a number, as in html=1, got 'much'"),
        ("html=", "html takes a number, as in html=1, got ''"),
        ("seed=0.5", "seed takes a whole number, as in seed=1, got '0.5'"),
        ("html=1.5", "the share of 'html' is a share from 0.0 to 1.0, got 1.5"),
        ("html=nan", "the share of 'html' is a share from 0.0 to 1.0, got nan"),
        (
            "html=0.6,close_in_body=0.6",
            "the shares of request faults add up to 1.2, at most 1 fits",
        ),
        (
            "refuse_connection,close_before",
            "the shares of connection faults add up to 2, at most 1 fits",
        ),
        ("outage=-1", "'outage' must be >= 0.0: -1.0"),
    ],
)
def test_invalid_text_is_refused(text, message):
    """The error says what was expected, and suggests similar names."""
    with pytest.raises(ValueError, match=r".") as caught:
        Faults.parse(text)
    assert message in str(caught.value)


def test_script_holds_faults_of_its_kind_only():
    """Connections and requests have one script each, of known names."""
    with pytest.raises(
        ValueError, match="'refuse_connection' belongs in connections, not in script"
    ):
        Faults(script=["refuse_connection"])
    with pytest.raises(ValueError, match="'html' belongs in script, not in connections"):
        Faults(connections=[None, "html"])
    with pytest.raises(ValueError, match="unknown fault 'htlm'"):
        Faults(script=["htlm"])


def test_same_seed_draws_the_same_faults():
    """Scripts come first, draws follow the shares, and a seed repeats them."""
    faults = Faults(
        shares={"html": 0.3, "close_in_body": 0.2, "refuse_connection": 0.5},
        script=["nan", None],
        seed=3,
    )
    sequence = FaultSequence(faults)
    drawn = [sequence.next_request_fault() for _ in range(1000)]
    assert ["nan", None] == drawn[:2]
    assert 240 < drawn.count("html") < 360
    assert 140 < drawn.count("close_in_body") < 260
    assert "refuse_connection" not in drawn
    again = FaultSequence(faults)
    assert drawn == [again.next_request_fault() for _ in range(1000)]
    assert {None, "refuse_connection"} == {again.next_connection_fault() for _ in range(100)}


def test_burst_is_twenty_server_errors():
    """One drawn burst is twenty server errors, and then the true reply."""
    sequence = FaultSequence(Faults(script=["burst", None]))
    errors = {"status_500", "status_502", "status_503", "status_504"}
    assert errors == {sequence.next_request_fault() for _ in range(20)}
    assert sequence.next_request_fault() is None


def test_every_fault_is_in_one_table():
    """Each name stands for one fault, and has a description."""
    tables = (CONNECTION_FAULTS, REQUEST_FAULTS, WRONG_REPLIES)
    assert len(FAULTS) == sum(map(len, tables)) + 1
    assert all(text and not text.endswith(".") for text in FAULTS.values())


def test_wrong_replies_are_valid_http():
    """Each wrong reply has a status and headers that HTTP allows."""
    for name, (_, make) in WRONG_REPLIES.items():
        reply = make(Faults())
        assert 100 < reply.status_code < 600, name
        assert all("\n" not in value and value.isascii() for _, value in reply.headers), name


@pytest.mark.parametrize("upstream", ["in process", "over a socket"])
async def test_without_faults_requests_reach_the_emulator(leaks, upstream):
    """Requests are forwarded, and links lead back to the faulty server."""
    emulator, traffic = emulator_with_job(), Traffic()
    async with leaks(), run_server(emulator) as served:
        to = emulator if upstream == "in process" else served
        async with run_faulty_server(to, traffic=traffic) as url:
            reply = await ask(url)
            (link,) = reply.json()["output"]
            assert link.startswith(url.removesuffix("/api"))
            async with httpx.AsyncClient(timeout=60.0) as http:
                assert 200 == (await http.get(link)).status_code
                assert 404 == (await http.get(f"{url}/nowhere")).status_code
    assert ["POST", "GET", "GET"] == [each.method for each in traffic.requests]
    assert ASK == json.loads(traffic.requests[0].body)
    assert [1, 2, 2] == [each.connection for each in traffic.requests]
    assert "target" not in repr(traffic.requests[0])


async def port_open(url):
    """Wait until the server listens again. Its timer is due already."""
    async with asyncio.timeout(300):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
                writer.close()
                return
            await asyncio.sleep(0.01)


async def test_outage_closes_the_port(leaks, leap):
    """Connections are refused for some seconds, and then the same port is open."""
    async with leaks(), run_faulty_server(emulator_with_job(), Faults(outage=300.0)) as url:
        with pytest.raises(httpx.ConnectError):
            await ask(url)
        leap(300.0)
        await port_open(url)
        assert 200 == (await ask(url)).status_code


async def test_two_refused_connections_close_the_port_once(leaks, leap):
    """The second refusal does not prolong the closing."""
    faults = Faults(connections=["refuse_connection"] * 2, delay=300.0)
    async with leaks(), run_faulty_server(emulator_with_job(), faults) as url:
        results = await asyncio.gather(ask(url), ask(url), return_exceptions=True)
        assert all(isinstance(each, httpx.TransportError) for each in results)
        with pytest.raises(httpx.ConnectError):
            await ask(url)
        leap(300.0)
        await port_open(url)
        assert 200 == (await ask(url)).status_code


async def test_server_closed_in_an_outage_stays_closed(leaks):
    """A server that is closed in an outage does not open its port again."""
    async with leaks():
        async with run_faulty_server(emulator_with_job(), Faults(outage=0.01)) as url:
            pass
        await asyncio.sleep(0.03)
        with pytest.raises(httpx.ConnectError):
            await ask(url)


async def test_port_in_use_is_an_error():
    """The server starts neither on a used port nor on a foreign address."""
    async with run_faulty_server(emulator_with_job()) as url:
        port = httpx.URL(url).port
        with pytest.raises(OSError, match="in use"):
            await run_faulty_server(emulator_with_job(), port=port).__aenter__()
    with pytest.raises(OSError, match=r"."):
        await run_faulty_server(emulator_with_job(), host="203.0.113.1").__aenter__()


async def test_connections_are_limited_and_end_with_the_server(leaks):
    """Connections beyond the limit are reset, and all others result with the server."""
    traffic = Traffic()
    async with leaks():
        async with run_faulty_server(
            emulator_with_job(), Faults(shares={"hang": 1.0}), traffic=traffic, max_connections=3
        ) as url:
            address = ("127.0.0.1", httpx.URL(url).port)
            held = [await asyncio.open_connection(*address) for _ in range(5)]
            results = [asyncio.create_task(reader.read()) for reader, _ in held]
            async with asyncio.timeout(300):
                while sum(result.done() for result in results) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert 2 == sum(result.done() for result in results)
            assert 3 == traffic.open_connection_count
        assert 0 == traffic.open_connection_count
        await asyncio.wait(results)
        for result in results:
            assert isinstance(result.exception(), ConnectionResetError) or b"" == result.result()
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_invalid_request_closes_the_connection(leaks, data):
    """A client that sends no valid HTTP, or too much, gets no reply."""
    async with leaks(), run_faulty_server(emulator_with_job()) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(data)
        with contextlib.suppress(ConnectionResetError):
            assert b"" == await reader.read()
        writer.close()


async def test_ipv6_and_tls_are_served(leaks):
    """The server listens on IPv6, and with a certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("::1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    faults = Faults(script=["redirect_to_http"], foreign_url="https://x.example/")
    async with (
        leaks(),
        run_faulty_server(emulator_with_job(), faults, host="::1", ssl_context=context) as url,
    ):
        assert url.startswith("https://[::1]:")
        assert "http://x.example/" == (await ask(url, verify=trusting)).headers["location"]


async def test_bug_in_the_emulator_gives_500(leaks):
    """The reply to an exception in the emulator is forwarded too."""

    def broken_clock():
        raise RuntimeError("the clock is broken")

    emulator = Emulator(clock=broken_clock)
    async with leaks(), run_faulty_server(emulator) as url:
        assert 500 == (await ask(url)).status_code


async def test_endless_replies_do_end(leaks, monkeypatch):
    """An endless reply in a forgotten test stops by itself."""
    folder = "modelslab_async.emulator.faults"
    monkeypatch.setattr(f"{folder}.faulty_connection._MAX_ENDLESS_BYTES", 1 << 20)
    monkeypatch.setattr(f"{folder}.connection_faults._HUGE_BODY_BYTES", 1 << 20)
    async with (
        leaks(),
        run_faulty_server(emulator_with_job(), Faults(script=["endless", "huge_body"])) as url,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(url)
        # The body is as long as its Content-Length.
        assert 1 << 20 == len((await ask(url)).content)


async def test_concurrent_requests_are_all_counted(leaks):
    """Thirty concurrent requests, some with a broken connection, are all counted."""
    traffic = Traffic()
    faults = Faults(shares={"reset_after": 0.2, "reset_before": 0.3}, seed=5)
    async with leaks(), run_faulty_server(emulator_with_job(), faults, traffic=traffic) as url:
        results = await asyncio.gather(*(ask(url) for _ in range(30)), return_exceptions=True)
    broken = sum(isinstance(each, httpx.TransportError) for each in results)
    assert broken == traffic.injected.total()
    assert 30 == traffic.connection_count
    assert 30 - traffic.injected["reset_before"] == len(traffic.requests)
