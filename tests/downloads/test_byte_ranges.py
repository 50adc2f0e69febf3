"""Byte ranges: bytes are joined and files named only if all known lengths agree."""

import asyncio
import hashlib
import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import Downloads, TransferFailed, verify
from modelslab_async._downloads.byte_ranges import BodyRange, KeptBytes, body_range

from .conftest import PNG, names, picture, success

TAG = {"etag": '"v1"'}
DATE = {"last-modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
KEPT = KeptBytes(size=400, validator='"v1"', total=1000)
KEPT_BY_DATE = KeptBytes(size=400, validator=DATE["last-modified"], total=1000)
KEPT_WITHOUT_TOTAL = KeptBytes(size=400, validator='"v1"', total=None)
REST = BodyRange(400, 1000, 1000)


def span(text, **more):
    return {"content-range": text, **{name.replace("_", "-"): more[name] for name in more}}


@pytest.mark.parametrize(
    ("status", "headers", "kept", "expected"),
    [
        (200, {"content-length": "1000"}, None, BodyRange(0, 1000, 1000)),
        (200, {}, None, BodyRange(0, None, None)),
        (200, {"content-length": "1000, 1000"}, None, BodyRange(0, None, None)),
        (200, {"content-length": "9" * 5000}, None, BodyRange(0, None, None)),
        (200, {"content-length": "1000"}, KEPT, BodyRange(0, 1000, 1000)),
        (200, {"content-length": "7"} | TAG, KEPT, BodyRange(0, 7, 7)),
        (
            200,
            span("bytes 0-999/1000", content_length="1000"),
            KEPT,
            BodyRange(0, 1000, 1000),
        ),
        (200, span("bytes 400-999/1000", content_length="600") | TAG, KEPT, None),
        (200, span("bytes 0-399/1000", content_length="400"), None, None),
        (200, span("bytes 0-999/1000", content_length="600"), None, None),
        (200, span("bytes 0-999/*"), None, None),
        (200, span("nonsense"), None, None),
        (206, span("bytes 400-999/1000", content_length="600") | TAG, KEPT, REST),
        (206, span("bytes 400-999/1000") | TAG, KEPT, REST),
        (206, span("bytes 400-999/*") | TAG, KEPT, REST),
        (206, span("bytes 400-499/1000") | TAG, KEPT, BodyRange(400, 500, 1000)),
        (206, span("bytes 400-499/*") | TAG, KEPT, BodyRange(400, 500, 1000)),
        (206, span("bytes 400-999/1000") | TAG, KEPT_WITHOUT_TOTAL, REST),
        (206, span("bytes 400-999/1000") | DATE, KEPT_BY_DATE, REST),
        (206, span("bytes 400-999/*") | TAG, KEPT_WITHOUT_TOTAL, None),
        (206, span("bytes 400-999/1000") | TAG, None, None),
        (206, span("bytes 400-999/1000"), KEPT, None),
        (206, span("bytes 400-999/1000") | TAG, KEPT_BY_DATE, None),
        (206, span("bytes 400-999/1000") | {"etag": '"v2"'}, KEPT, None),
        (206, span("bytes 400-999/1000") | {"etag": 'W/"v1"'}, KEPT, None),
        (206, span("bytes 0-999/1000") | TAG, KEPT, None),
        (206, span("bytes 300-999/1000") | TAG, KEPT, None),
        (206, span("bytes 500-999/1000") | TAG, KEPT, None),
        (206, span("bytes 400-999/999") | TAG, KEPT, None),
        (206, span("bytes 400-999/2000") | TAG, KEPT, None),
        (206, span("bytes 400-1000/1000") | TAG, KEPT, None),
        (206, span("bytes 400-399/1000") | TAG, KEPT, None),
        (206, span("bytes 400-999/1000", content_length="599") | TAG, KEPT, None),
        (206, span("bytes 400-999/1000", content_encoding="gzip") | TAG, KEPT, None),
        (206, span("items 400-999/1000") | TAG, KEPT, None),
        (206, span(f"bytes 400-{'9' * 5000}/*") | TAG, KEPT, None),
        (206, {"content-type": "multipart/byteranges; boundary=x"} | TAG, KEPT, None),
        (416, span("bytes */1000") | TAG, KEPT, None),
    ],
)
def test_body_range_is_known_only_if_all_headers_agree(status, headers, kept, expected):
    """Each row is a status with headers, and the range that the body may be used for."""
    assert expected == body_range(status, headers, kept)


SIZE, CUT = 300_008, 150_000


def partial(text, body):
    async def answer(server, writer):
        lines = {"content-range": text, "etag": server.etag}
        await server.send(writer, 206, lines, server.content[body])

    return answer


def chunked_partial(text, body):
    async def answer(server, writer):
        data = server.content[body]
        head = f"HTTP/1.1 206 X\r\ncontent-range: {text}\r\netag: {server.etag}\r\n"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n{len(data):x}\r\n".encode())
        writer.write(data + b"\r\n0\r\n\r\n")
        await writer.drain()

    return answer


def rest_with_status_200():
    async def answer(server, writer):
        lines = {"content-range": f"bytes {CUT}-300007/{SIZE}", "etag": server.etag}
        await server.send(writer, 200, lines, server.content[CUT:])

    return answer


def another_version_without_etag():
    async def answer(server, writer):
        lines = {"content-range": f"bytes {CUT}-300007/{SIZE}"}
        await server.send(writer, 206, lines, bytes(SIZE - CUT))

    return answer


@pytest.mark.parametrize(
    ("second", "next_start"),
    [
        (partial(f"bytes {CUT}-215535/{SIZE}", slice(CUT, 215_536)), 215_536),
        (partial(f"bytes {CUT}-215535/*", slice(CUT, 215_536)), 215_536),
        (chunked_partial(f"bytes {CUT}-215535/{SIZE}", slice(CUT, 215_536)), 215_536),
        (chunked_partial(f"bytes {CUT}-300007/{SIZE}", slice(CUT, 251_000)), 251_000),
        (partial(f"bytes 0-300007/{SIZE}", slice(None)), None),
        (partial(f"bytes {CUT}-300007/{SIZE}", slice(None)), None),
        (chunked_partial(f"bytes {CUT}-300007/{SIZE}", slice(None)), None),
        (partial(f"bytes 140000-300007/{SIZE}", slice(140_000, None)), None),
        (another_version_without_etag(), None),
        (partial(f"bytes {CUT}-215535/215536", slice(CUT, 215_536)), None),
        (rest_with_status_200(), None),
    ],
)
async def test_second_response_never_makes_a_wrong_file(
    second, next_start, server, make_downloads, folder
):
    """A short range is continued, an odd one is fetched again, and the file is right."""
    server.content = picture(SIZE)

    async def answer(_request, writer):
        await second(server, writer)

    server.answers = [server.cut(CUT), answer]
    async with make_downloads() as downloads:
        files = await downloads.save(success(server.link()))

    assert [None, CUT, next_start] == [request.start for request in server.requests]
    assert server.content == files[0].path.read_bytes()
    assert (SIZE, True) == (files[0].size, files[0].is_length_verified)
    assert files == (await verify(folder, files)).unchanged
    assert ["images-1-0.png"] == names(folder)


@pytest.mark.parametrize("etag", ['"v1"', None], ids=["etag", "no version"])
@pytest.mark.parametrize("cut", [0, 2000])
@pytest.mark.parametrize("announces", [True, False], ids=["length", "chunked"])
async def test_whole_answer_that_is_shorter_than_announced_is_no_file(
    announces, cut, etag, server, make_downloads
):
    """A second 200 of the same version must have the length that the first one announced."""
    server.content, server.etag = picture(4000), etag
    short = server.content[:1500]
    answer = (200, {"etag": etag}, short) if announces else _chunked(server, short)
    server.answers = [server.cut(cut), answer]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))
        assert (server.content, True) == (file.path.read_bytes(), file.is_length_verified)
        file.path.unlink()
        server.answers = [server.cut(cut)] + [answer] * 10
        with pytest.raises(TransferFailed):
            await downloads.save(success(server.link()))

    assert not [name for name in names(file.path.parent) if name.endswith(".png")]


async def test_changed_file_without_version_comes_with_the_next_save(server, make_downloads):
    """One save takes another length for a cut, and the next one knows nothing of the old length."""
    server.content, server.etag = picture(4000), None

    async def cut_then_changed(request, writer):
        await server.send(writer, *server.correct(request), cut=1000)
        server.content = picture(3000)

    server.answers = [cut_then_changed]
    async with make_downloads() as downloads:
        with pytest.raises(TransferFailed, match=r"does not fit what earlier.*; save again"):
            await downloads.save(success(server.link()))
        (file,) = await downloads.save(success(server.link()))

    assert (server.content, True) == (file.path.read_bytes(), file.is_length_verified)


async def test_whole_answer_that_is_longer_than_announced_is_no_file(server, make_downloads):
    """A second 200 of the same version with more bytes than announced is fetched again."""
    server.content = picture(4000)
    server.answers = [server.cut(2000)] + [_chunked(server, picture(5000))] * 3

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (server.content, True) == (file.path.read_bytes(), file.is_length_verified)


async def test_unknown_length_stands_on_the_record(server, make_downloads, folder):
    """If no response announced a length, the record says so, even after a run that died."""
    server.answers = [_chunked(server, server.content)]

    async def die(_file):
        raise KeyError

    async with make_downloads() as downloads:
        with pytest.raises(ExceptionGroup):
            await downloads.try_save(success(server.link()), on_saved=die)
        (file,) = await downloads.save(success(server.link()))

    assert (1, False) == (len(server.requests), file.is_length_verified)
    assert hashlib.sha256(server.content).hexdigest() == file.sha256
    assert ["images-1-0.png"] == names(folder)


async def test_second_response_may_announce_the_length(server, make_downloads):
    """A 206 may be the first to announce the size of the whole file."""
    server.content = picture(4000)

    async def cut_chunk(_request, writer):
        writer.write(b'HTTP/1.1 200 X\r\netag: "v1"\r\ntransfer-encoding: chunked\r\n\r\n')
        writer.write(b"fa0\r\n" + server.content[:1000])
        await writer.drain()
        writer.close()

    server.answers = [cut_chunk]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert [None, 1000] == [request.start for request in server.requests]
    assert server.content == file.path.read_bytes()
    assert file.is_length_verified


async def test_server_with_few_bytes_per_request_is_given_up(
    server, make_downloads, folder, monkeypatch
):
    """After a hundred cut transfers the output is unsaved; saving again continues the part."""
    monkeypatch.setattr("modelslab_async._downloads.link_retries._RETRY_DELAYS_S", (0.0,))
    server.content = picture(4000)
    server.answers = [server.cut(10)] * 1000

    async with make_downloads() as downloads:
        with pytest.raises(TransferFailed, match="save again"):
            await downloads.save(success(server.link()))
        assert (100, 1000) == (len(server.requests), (folder / "images-1-0.part").stat().st_size)
        server.answers = []
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


VERSIONS = {'"v1"': picture(3000), '"v2"': PNG[:8] + bytes(2992)}
FIRST_ANSWERS = st.fixed_dictionaries(
    {
        "etag": st.just('"v1"'),
        "has_etag": st.sampled_from([True]),
        "status": st.just(200),
        "start_offset": st.just(0),
        "span_bytes": st.just(3000),
        "body_bytes": st.integers(1, 2999),
        "has_total": st.sampled_from([True]),
        "has_length": st.booleans(),
        "is_cut": st.sampled_from([True]),
    }
)
LATER_ANSWERS = st.fixed_dictionaries(
    {
        "etag": st.sampled_from(['"v1"', '"v1"', '"v2"']),
        "has_etag": st.sampled_from([True, True, False]),
        "status": st.sampled_from([206, 206, 206, 200, 416]),
        "start_offset": st.sampled_from([0, 0, 0, -7, 7, -3000]),
        "span_bytes": st.one_of(st.just(3000), st.integers(1, 3000)),
        "body_bytes": st.integers(0, 3000),
        "has_total": st.booleans(),
        "has_length": st.booleans(),
        "is_cut": st.sampled_from([False, False, True]),
    }
)


class OddServer(httpx.AsyncBaseTransport):
    """Sends true bytes of two versions, with true but incomplete headers and odd ranges."""

    def __init__(self, answers):
        self.answers = answers

    async def handle_async_request(self, request):
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        return self._response(self.answers.pop(0), int(asked[1]) if asked else 0)

    def _response(self, answer, asked):
        content = VERSIONS[answer["etag"]]
        headers = {"etag": answer["etag"]} if answer["has_etag"] else {}
        is_partial = answer["status"] == 206
        start = min(max(0, asked + answer["start_offset"]), len(content) - 1) if is_partial else 0
        end = min(start + answer["span_bytes"], len(content)) if is_partial else len(content)
        if is_partial:
            total = len(content) if answer["has_total"] else "*"
            headers["content-range"] = f"bytes {start}-{end - 1}/{total}"
        if answer["has_length"]:
            headers["content-length"] = str(end - start)
        # A server that names no length ends a cut body by an error, as a broken chunk does.
        stop = min(start + answer["body_bytes"], end) if answer["is_cut"] else end
        is_broken = answer["is_cut"] and not answer["has_length"]
        return httpx.Response(
            answer["status"], headers=headers, stream=CutBody(content[start:stop], is_broken)
        )


class CutBody(httpx.AsyncByteStream):
    def __init__(self, content, is_broken):
        self.content = content
        self.is_broken = is_broken

    async def __aiter__(self):
        yield self.content
        if self.is_broken:
            raise httpx.RemoteProtocolError("cut")


@given(first=FIRST_ANSWERS, later=st.lists(LATER_ANSWERS, min_size=1, max_size=4))
def test_saved_file_is_always_one_whole_version(first, later, tmp_path_factory):
    """Whatever ranges come in whatever order, a file that is saved is one version of it."""

    async def save():
        folder = tmp_path_factory.mktemp("odd")
        async with Downloads(
            to=folder, http=OddServer([first, *later]), link_timeout=0
        ) as downloads:
            result = await downloads.try_save(success("https://cdn.example/0.png"))
        return [file.path.read_bytes() for file in result.files]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelslab_async._downloads.link_retries._RETRY_DELAYS_S", (0.0,))
        assert all(content in VERSIONS.values() for content in asyncio.run(save()))


def _chunked(server, data):
    async def answer(_request, writer):
        tag = f"etag: {server.etag}\r\n" if server.etag else ""
        head = f"HTTP/1.1 200 X\r\n{tag}transfer-encoding: chunked\r\n\r\n"
        writer.write(f"{head}{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")
        await writer.drain()

    return answer
