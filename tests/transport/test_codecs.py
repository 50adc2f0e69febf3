"""Both codecs: which one is the default, and that both write the same bytes."""

import asyncio
import subprocess
import sys

import pytest
from http_codecs import CODECS, http11

from modelslab_async import Client, Request, TransportError
from modelslab_async._transport.http11.codec import UnreadableError, UnsendableError
from modelslab_async._transport.transport_protocol import request_target

BODY = b'{"status": "success", "output": ["https://x/1.png"]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@pytest.mark.parametrize("codec", CODECS)
async def test_client_closes_the_connections_of_its_transport(codec):
    """A client closes the transport that the caller handed in, whatever its codec."""

    async def serve(reader, writer):
        while await reader.read(65536):
            writer.write(ANSWER)
        closed.set()
        writer.close()

    closed = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Client("a-test-key-1234", base_url=url, http=http11(codec)) as client:
        assert ("https://x/1.png",) == (await client.wait("images:1")).output
    async with asyncio.timeout(300):
        await closed.wait()
    server.close()


def default_codec(*, before=""):
    """Return the name of the codec that a new process takes by default."""
    code = f"import sys; {before}\nfrom modelslab_async._transport.http11 import default_codec\n"
    code += "print(default_codec.DefaultCodec.__name__)"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_httptools_is_the_default_where_it_is_installed():
    """The extra [fast] needs no line of code."""
    assert "HttptoolsCodec" == default_codec()


def test_h11_is_the_default_without_httptools():
    """Without the extra [fast] the transport works over h11."""
    assert "H11Codec" == default_codec(before="sys.modules['httptools'] = None")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("POST", "http://x/a b", ()),
        ("POST", "http://x/a", (("na me", "value"),)),
        ("POST", "http://x/a", (("name", "line\r\nbreak: x"),)),
        ("POST", "http://x/a", (("name", " blank"),)),
        ("PO ST", "http://x/a", ()),
    ],
)
async def test_unsendable_request_never_left(codec, method, url, headers):
    """A line break in a header value would be a header of its own."""

    async def serve(_reader, writer):
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = http11(codec, 1)
    request = Request(method=method, url=url.replace("//x", f"//127.0.0.1:{port}"), headers=headers)
    with pytest.raises(TransportError, match="cannot carry") as caught:
        await http.exchange(request)
    assert not caught.value.may_have_been_sent
    await http.aclose()
    server.close()


def test_httptools_codec_refuses_head():
    """Httptools cannot know that the response to HEAD has no body."""
    with pytest.raises(UnsendableError):
        CODECS["httptools"]().encode(Request(method="HEAD", url="http://x/a"), "x")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_both_codecs_write_the_same_bytes(codec, method):
    """The cached part of a head fits the next request too, or is encoded anew."""
    messages, heads = CODECS[codec](), []
    for number, value in ((1, "a"), (2, "a"), (3, "b")):
        url, body = f"https://x/api/{number}?q={value}", b"{}" if method == "POST" else b""
        headers = (("accept", value), ("x-two", ""))
        heads.append(
            messages.encode(Request(method=method, url=url, headers=headers, body=body), "x:81")
        )
        assert messages.feed(ANSWER) is not None
        assert messages.prepare_next()
    length = b"Content-Length: 2\r\n\r\n{}" if method == "POST" else b"\r\n"
    line = b"%b /api/%d?q=%b HTTP/1.1\r\nHost: x:81\r\naccept: %b\r\nx-two: \r\n" + length
    values = ((1, b"a"), (2, b"a"), (3, b"b"))
    wanted = [line % (method.encode(), number, value, value) for number, value in values]
    assert [head.lower() for head in wanted] == [head.lower() for head in heads]


def test_endless_trailers_are_unreadable():
    """Trailers after the chunks are bounded like the head."""
    messages = CODECS["httptools"]()
    messages.encode(Request(method="GET", url="http://x/"), "x")
    messages.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
    trailers = b"a: bcdefghijklmnop\r\n" * 1000
    for _ in range(3):
        assert messages.feed(trailers) is None
    with pytest.raises(UnreadableError):
        messages.feed(trailers)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://x", "/"),
        ("https://x/", "/"),
        ("https://x/a%20b?c=d", "/a%20b?c=d"),
        ("https://x?a=/b", "/?a=/b"),
        ("https://x/a#b", "/a"),
        ("https://x/\u00fc", "/%C3%BC"),
        ("http://[::1]:80/a:b@c", "/a:b@c"),
    ],
)
def test_request_target(url, target):
    """The path and query, without the fragment, in ASCII."""
    assert target == request_target(url)
