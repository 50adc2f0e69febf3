"""Connections over httpx: which are kept, and which are never used again."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
from everyday import cases
from transport.http_server import (
    OK,
    Server,
    read_request,
    request_to,
    trusted_server_context,
    until,
)

from modelslab_async import TransportError
from modelslab_async._transport.transport_choice import as_transport

NO = OK.replace(b"{}", b"no")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


# By default, httpx drops a connection that was idle for five seconds.
PATIENT = httpx.Limits(keepalive_expiry=600.0)


def patient_client(**settings):
    """A client of httpx without its two limits of five seconds."""
    return httpx.AsyncClient(**{"timeout": 600.0, "limits": PATIENT, **settings})


@pytest.fixture(params=["transport", "client"])
def over(request):
    """A transport of the package over an httpx transport or client, closed at its end."""

    @asynccontextmanager
    async def opened():
        is_client = request.param == "client"
        given = patient_client() if is_client else httpx.AsyncHTTPTransport(limits=PATIENT)
        async with given:
            yield as_transport(given, 4)

    return opened


async def test_polls_in_a_row_share_one_connection(over, tls):
    """A poll costs no new connection and no new handshake."""
    async with Server(tls=tls) as server, over() as http:
        for _ in range(50):
            assert b"{}" == (await http.exchange(request_to(server))).body
    assert [50] == [len(requests) for requests in server.received]


@pytest.mark.parametrize("count", cases([200], [1000]))
async def test_polls_at_once_need_at_most_one_connection_each(over, tls, count):
    """Hundreds of polls of eight workers take at most eight connections."""
    async with Server(tls=tls) as server, over() as http:
        numbers = iter(range(count))

        async def work():
            for _ in numbers:
                assert 200 == (await http.exchange(request_to(server))).status_code

        await asyncio.gather(*(work() for _ in range(8)))
        assert count == sum(map(len, server.received))
        assert 8 >= len(server.received)


@pytest.mark.parametrize(
    "settings",
    [{"limits": httpx.Limits(max_keepalive_connections=0)}, {"headers": {"Connection": "close"}}],
    ids=["limits", "header"],
)
async def test_strict_form_uses_each_connection_once(tls, settings):
    """The settings of httpx that keep no connection are obeyed."""
    async with Server(tls=tls) as server, patient_client(**settings) as client:
        http = as_transport(client, 4)
        for _ in range(5):
            await http.exchange(request_to(server))
    if "headers" in settings:
        # The server of this test goes on until the client closes the connection.
        assert b"close" in server.received[0][0][0].encode()
    assert [1] * 5 == [len(requests) for requests in server.received]


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 65494\r\n\r\n".ljust(65536, b"x")
SURPLUS = {
    "another response": OK + NO,
    "an empty line": OK + b"\r\n",
    "after chunks": CHUNKED + NO,
    "half a response": OK + NO[:9],
    "nulls": OK + b"\0\0",
    # httpx reads 64 KiB at once, so that the other response would wait behind.
    "after 64 KiB": LONG + NO,
}


@pytest.mark.parametrize("name", SURPLUS)
async def test_bytes_behind_a_response_are_never_the_next_response(over, tls, name):
    """A connection on which bytes follow a response is not used again."""
    async with Server(SURPLUS[name], tls=tls) as server, over() as http:
        for _ in range(3):
            assert (await http.exchange(request_to(server))).body in (b"{}", b"x" * 65494)
    assert [1, 1, 1] == [len(requests) for requests in server.received]


@pytest.mark.parametrize("answer", [OK, CHUNKED])
async def test_bytes_in_a_record_of_their_own_are_never_the_next_response(over, tls, answer):
    """Bytes that the TLS object has received and not yet decrypted do not show at the socket."""

    class Twice(Server):
        async def talk(self, reader, writer, requests):
            while True:
                requests.append(await read_request(reader))
                # Two writes become two TLS records, which the network may join.
                writer.write(answer)
                writer.write(NO)

    async with Twice(tls=tls) as server, over() as http:
        for _ in range(3):
            assert b"{}" == (await http.exchange(request_to(server))).body
    assert [1, 1, 1] == [len(requests) for requests in server.received]


async def test_bytes_at_rest_are_never_the_next_response(over, tls):
    """What comes between two polls closes the connection."""
    async with Server(tls=tls) as server, over() as http:
        for number in range(3):
            assert b"{}" == (await http.exchange(request_to(server))).body
            server.writers[number].write(NO)
            await server.writers[number].drain()
    assert [1, 1, 1] == [len(requests) for requests in server.received]


async def test_connection_that_the_server_closed_is_replaced(over, tls):
    """A server that ended the connection gets the next poll over a new one."""
    async with Server(tls=tls) as server, over() as http:
        await http.exchange(request_to(server))
        server.writers[0].close()
        await asyncio.sleep(0)
        assert 200 == (await http.exchange(request_to(server))).status_code
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_response_that_was_not_read_whole_closes_its_connection(over, tls):
    """The rest of a response that is too long is never the next response."""
    async with (
        Server(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}", tls=tls) as server,
        over() as http,
    ):
        for _ in range(2):
            with pytest.raises(TransportError, match="longer than"):
                await http.exchange(request_to(server))
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_cancelled_poll_closes_its_connection(over, tls):
    """A response that comes after its poll was cancelled is never that of the next poll."""
    async with Server(NO, tls=tls) as server, over() as http:
        server.gate.clear()
        task = asyncio.create_task(http.exchange(request_to(server)))
        await until(lambda: sum(map(len, server.received)) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.answer = OK
        server.gate.set()
        assert b"{}" == (await http.exchange(request_to(server))).body
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_response_in_many_chunks_is_read_and_its_connection_closed(over, tls):
    """Only so many chunks are parsed in search of the end of a response."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        Server(head + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n", tls=tls) as server,
        over() as http,
    ):
        for _ in range(2):
            assert b"x" * 5000 == (await http.exchange(request_to(server))).body
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_long_response_keeps_its_connection(over, tls):
    """A picture in base64 takes many reads, and costs no connection."""
    body = b"x" * 3_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with Server(answer, tls=tls) as server, over() as http:
        for _ in range(3):
            assert body == (await http.exchange(request_to(server))).body
    assert [3] == [len(requests) for requests in server.received]


async def test_submit_opens_a_new_connection(over, tls):
    """A request that must not be repeated never meets a connection that is being closed."""
    async with Server(tls=tls) as server, over() as http:
        for needs_new_connection in (False, True, False, True):
            response = await http.exchange(
                request_to(server, needs_new_connection=needs_new_connection)
            )
            assert b"{}" == response.body
    # Each submit opens a connection, which the next poll uses too.
    assert [1, 2, 1] == [len(requests) for requests in server.received]


async def test_submit_opens_a_new_connection_though_the_pool_is_full(tls):
    """With one connection in the pool, an idle one makes room."""
    limits = httpx.Limits(max_connections=1, keepalive_expiry=600.0)
    async with Server(tls=tls) as server, patient_client(limits=limits) as client:
        http = as_transport(client, 1)
        for needs_new_connection in (False, True):
            await http.exchange(request_to(server, needs_new_connection=needs_new_connection))
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_submits_at_once_have_a_connection_each(over, tls):
    """No submit takes the connection that another one has just used."""
    async with Server(tls=tls) as server, over() as http:
        for _ in range(3):
            await asyncio.gather(
                *(http.exchange(request_to(server, needs_new_connection=True)) for _ in range(5))
            )
        assert [1] * 15 == [len(requests) for requests in server.received]


class Twice(httpx.Auth):
    """Sends each request again, as an auth flow does after a challenge."""

    def auth_flow(self, request):
        yield request
        yield request


async def test_each_attempt_of_an_auth_flow_opens_a_new_connection(tls):
    """The second attempt of a submit does not take the connection of the first."""
    async with Server(tls=tls) as server, patient_client(auth=Twice()) as client:
        await as_transport(client, 4).exchange(request_to(server, needs_new_connection=True))
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_connection_of_another_request_of_the_caller_is_used_once(tls):
    """A connection that the package did not watch from its start is not kept."""
    async with Server(tls=tls) as server, patient_client() as client:
        assert 200 == (await client.get(server.url)).status_code
        http = as_transport(client, 4)
        for _ in range(3):
            assert b"{}" == (await http.exchange(request_to(server))).body
    assert [2, 2] == [len(requests) for requests in server.received]


async def test_submit_takes_no_connection_of_another_request_of_the_caller(tls):
    """Nothing tells how long it has been idle."""
    async with Server(tls=tls) as server, patient_client() as client:
        await client.get(server.url)
        await as_transport(client, 4).exchange(request_to(server, needs_new_connection=True))
    assert [1, 1] == [len(requests) for requests in server.received]


async def test_requests_of_the_caller_go_on_as_usual(tls):
    """HEAD, an interim response and a body without an end pass a watched connection."""
    async with Server(tls=tls) as server, patient_client() as client:
        http = as_transport(client, 4)
        await http.exchange(request_to(server))
        server.answer = OK[:-2]
        assert 200 == (await client.head(server.url)).status_code
        server.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
        assert b"{}" == (await client.post(server.url, content=b"x")).content
        await http.exchange(request_to(server))
        assert [4] == [len(requests) for requests in server.received]
        server.answer, server.closes = b"HTTP/1.1 200 OK\r\n\r\n{}", True
        assert b"{}" == (await client.get(server.url)).content
        assert b"{}" == (await http.exchange(request_to(server))).body


async def test_context_of_the_caller_may_offer_http2(monkeypatch, tmp_path):
    """Polls over HTTP/2 share one connection, which is not watched."""
    pytest.importorskip("h2")
    context = trusted_server_context(monkeypatch, tmp_path, "127.0.0.1")
    context.set_alpn_protocols(["http/1.1"])
    trusting = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    async with (
        Server(tls=context) as server,
        patient_client(http2=True, verify=trusting) as client,
    ):
        http = as_transport(client, 4)
        for _ in range(3):
            await http.exchange(request_to(server))
    assert [3] == [len(requests) for requests in server.received]
