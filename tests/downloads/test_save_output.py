"""Saving one output: the bytes behind a link or in a reply become one complete file."""

import asyncio
import base64
import hashlib

import httpx
import pytest
from attrs import evolve

from modelslab_async import (
    Client,
    DownloadError,
    Failed,
    FileTooLarge,
    LinkGone,
    SavedFile,
    ServerError,
    Ticket,
    TransferFailed,
    WrongContent,
)
from modelslab_async._downloads.http_get import LinkOpener
from modelslab_async._downloads.part_file import PartFile
from modelslab_async._downloads.part_metadata import PartMetadata
from modelslab_async.emulator import Emulator, FileLinks, run_server
from modelslab_async.emulator.media.files import make_file

from .conftest import PAGE, PNG, TICKET, FakeClient, Server, names, picture, success

NOT_FOUND = (404, {}, b"not yet")


async def test_output_becomes_file(server, make_downloads, folder):
    """The file is named by family, id and number, and its record describes it."""
    async with make_downloads() as downloads:
        files = await downloads.save(success(server.link("x.php?sig=secret"), server.link("y")))

    first = SavedFile(
        ticket=TICKET,
        n=0,
        path=folder / "images-1-0.png",
        sha256=hashlib.sha256(PNG).hexdigest(),
        size=len(PNG),
        url=server.link("x.php"),
    )
    assert first == files[0]
    assert ["images-1-0.png", "images-1-1.png"] == names(folder)
    assert PNG == (folder / "images-1-1.png").read_bytes()
    assert {"/x.php?sig=secret", "/y"} == {request.path for request in server.requests}


@pytest.mark.parametrize("quarter", [1, 2, 3])
async def test_cut_transfer_is_continued(quarter, server, make_downloads, folder):
    """The next request asks for the rest of the same version, and the file is complete."""
    server.content = picture(4000)
    server.answers = [server.cut(1000 * quarter)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    first, second = server.requests
    assert (None, None) == (first.start, first.headers.get("if-range"))
    assert (1000 * quarter, '"v1"') == (second.start, second.headers["if-range"])
    assert server.content == file.path.read_bytes()
    assert [file.path.name] == names(folder)


async def test_cuts_with_progress_are_not_counted(server, make_downloads):
    """Only rounds that bring no new byte count towards giving up."""
    server.content = picture(4000)
    server.answers = [server.cut(400) for _ in range(8)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()
    assert [None, *range(400, 3201, 400)] == [request.start for request in server.requests]


async def test_another_version_is_fetched_from_its_start(server, make_downloads):
    """A server with a new ETag sends everything, and no byte of the old version stays."""
    server.content = picture(4000)
    old = server.cut(2000)

    async def changes(request, writer):
        await old(request, writer)
        server.etag, server.content = '"v2"', PNG + bytes(5000)

    server.answers = [changes]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


@pytest.mark.parametrize(
    "headers",
    [
        {"content-range": "bytes 2000-3999/4000", "etag": '"v2"'},
        {"content-range": "bytes 1999-3999/4000"},
        {"content-range": "bytes 2000-3999/9999"},
        {},
    ],
    ids=["another ETag", "another offset", "another length", "no range"],
)
async def test_unfitting_range_is_not_joined(headers, server, make_downloads):
    """If the 206 is of another version or offset, the whole file is fetched again."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), (206, headers, bytes(2000))]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()
    assert [None, 2000, None] == [request.start for request in server.requests]


async def test_status_416_restarts_the_file(server, make_downloads):
    """After a 416 the whole file is fetched again."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), (416, {"content-range": "bytes */7"}, b"")]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


@pytest.mark.parametrize(
    ("etag", "ranges"),
    [(None, True), ('W/"v1"', True), ('"v1"', False), ('"versión"', True)],
    ids=ascii,
)
async def test_unresumable_file_is_fetched_again(etag, ranges, server, make_downloads):
    """Without a strong ETag or without ranges, the whole file is fetched again."""
    server.content, server.etag, server.ranges = picture(4000), etag, ranges
    server.answers = [server.cut(2000)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


async def test_date_replaces_missing_etag(server, make_downloads):
    """If-Range takes the Last-Modified of the first response."""
    server.content, server.etag = picture(4000), None
    date = {"last-modified": "Sat, 21 Nov 2026 10:00:00 GMT"}

    async def cut(_request, writer):
        await server.send(writer, 200, date, server.content, cut=1000)

    rest = (206, date | {"content-range": "bytes 1000-3999/4000"}, server.content[1000:])
    server.answers = [cut, rest]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert date["last-modified"].lower() == server.requests[1].headers["if-range"]
    assert server.content == file.path.read_bytes()


async def test_late_file_is_waited_for(server, make_downloads):
    """A 404 after the success is tried again."""
    server.answers = [NOT_FOUND, NOT_FOUND]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (3, PNG) == (len(server.requests), file.path.read_bytes())


async def test_missing_file_raises_link_gone(server, make_downloads, folder, leap):
    """After the link timeout, the error names the status of the server."""
    server.at_path["a?sig=secret"] = NOT_FOUND
    leap(0.0)

    async with make_downloads(link_timeout=300, timeout=3000) as downloads:
        saving = asyncio.create_task(downloads.save(success(server.link("a?sig=secret"))))
        while len(server.requests) < 2:  # noqa: ASYNC110 -- there is no event for it.
            await asyncio.sleep(0.01)
        leap(300.0)
        with pytest.raises(LinkGone, match="404") as caught:
            await saving

    assert (404, TICKET, server.link("a")) == (
        caught.value.status_code,
        caught.value.ticket,
        caught.value.url,
    )
    assert "secret" not in str(caught.value)
    assert [] == names(folder)


class WatchedSlots(asyncio.Semaphore):
    """Transfer slots that tell when an output waits for one."""

    def __init__(self, value):
        super().__init__(value)
        self.is_asked = asyncio.Event()

    async def acquire(self):
        self.is_asked.set()
        return await super().acquire()


async def test_link_timeout_begins_with_first_attempt(server, make_downloads, leap):
    """An output that waited for a transfer slot for longer is retried all the same."""
    server.answers = [NOT_FOUND]
    slots = WatchedSlots(0)
    leap(0.0)

    async with make_downloads(link_timeout=300, timeout=3000) as downloads:
        downloads._saver = evolve(downloads._saver, transfer_limit=slots)
        saving = asyncio.create_task(downloads.save(success(server.link())))
        await slots.is_asked.wait()
        leap(300.0)
        slots.release()
        (file,) = await saving

    assert (2, PNG) == (len(server.requests), file.path.read_bytes())


async def test_mirror_replaces_dead_link(server, make_downloads):
    """If the link is dead, the proxy link of the same output is used at once."""
    async with Server() as mirror:
        server.answers = [(503, {}, b"")]
        result = success(server.link(), mirrors=[mirror.link("m.png")])
        async with make_downloads() as downloads:
            (file,) = await downloads.save(result)

        assert (mirror.link("m.png"), 1, 1) == (
            file.url,
            len(server.requests),
            len(mirror.requests),
        )


async def test_unmatched_mirrors_are_not_used(server, make_downloads):
    """Proxy links are ignored if there is not one per output."""
    server.answers = [(410, {}, b"")] * 9
    result = success(server.link("a"), server.link("b"), mirrors=[server.link("m")])

    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(LinkGone):
            await downloads.save(result)

    assert {"/a", "/b"} == {request.path for request in server.requests}


@pytest.mark.parametrize("status", [403, 410])
async def test_expired_links_are_renewed_by_one_poll(status, server, make_downloads):
    """One poll renews the links of the whole ticket, without waiting for the old ones."""
    server.at_path["old"] = (status, {}, b"expired")
    fresh = success(server.link("new/0"), server.link("new/1"))
    client = FakeClient(fresh)

    async with make_downloads(client) as downloads:
        files = await downloads.save(success(server.link("old/0"), server.link("old/1")))

    assert 1 == client.polls
    assert 4 == len(server.requests)
    assert [server.link("new/0"), server.link("new/1")] == [file.url for file in files]


async def test_dead_link_is_renewed_after_link_timeout(server, make_downloads):
    """A 404 may be a late file, so the client polls for a new link last."""
    server.answers = [NOT_FOUND]
    client = FakeClient(success(server.link("new")))

    async with make_downloads(client, link_timeout=0) as downloads:
        (file,) = await downloads.save(success(server.link("old")))

    assert (1, server.link("new")) == (client.polls, file.url)


@pytest.mark.parametrize(
    "reply",
    [
        Failed(ticket=TICKET, reason="not_found"),
        ServerError("500"),
        success(),
        success("no link"),
        success("https://127.0.0.1/still-dead"),
    ],
    ids=["failed", "fault", "no output", "no link", "dead"],
)
async def test_failed_renewal_raises_link_gone(reply, server, make_downloads):
    """The client polls once, and the error says that the link is gone."""
    server.answers = [(410, {}, b"expired")] * 99
    if "dead" in str(reply):
        reply = success(server.link("still-dead"))
    client = FakeClient(reply)

    async with make_downloads(client, link_timeout=0) as downloads:
        with pytest.raises(LinkGone, match="410"):
            await downloads.save(success(server.link("a"), server.link("b")))

    assert 1 == client.polls
    assert len(server.requests) <= 3


async def test_web_page_is_refused(server, make_downloads, folder):
    """An HTML page with status 200 is refused whatever its content type, and not kept_size."""
    server.answers = [(200, {"content-type": "image/png", "etag": '"p"'}, PAGE)]

    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(WrongContent, match=r"web page.* save again later") as caught:
            await downloads.save(success(server.link()))

    assert (1, []) == (len(server.requests), names(folder))
    assert WrongContent is type(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        ("text/html", b"502 Bad Gateway"),
        ("Text/HTML; charset=utf-8", b"no tag at all"),
        ("application/xhtml+xml", b"nor here"),
        ("text/html", b"<h1>502 Bad Gateway</h1>"),
        ("text/plain", b"<h1>502 Bad Gateway</h1>"),
        ("", b'{"status":"error","message":"expired"}'),
        ("", "\ufeff<h1>no".encode("utf-16-le")),
    ],
)
@pytest.mark.parametrize("family", ["whisper", "voice", "images"])
async def test_temporary_error_page_is_waited_for(family, answer, server, make_downloads, folder):
    """An error page is tried again like a 404, and is never saved."""
    ticket, (stated, body) = Ticket(family, 1), answer
    content = {"whisper": b"words", "voice": b"ID3\4sound", "images": PNG}[family]
    server.answers = [(200, {"content-type": stated}, body)] * 2
    server.content = content

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link(), ticket=ticket))

    assert (3, content) == (len(server.requests), file.path.read_bytes())
    assert [file.path.name] == names(folder)


async def test_lasting_error_page_renews_the_link(server, make_downloads):
    """Some stores answer an expired link with a page, so the client polls for a new one."""
    server.at_path["old"] = (200, {}, PAGE)
    client = FakeClient(success(server.link("new/0")))

    async with make_downloads(client, link_timeout=0) as downloads:
        (file,) = await downloads.save(success(server.link("old/0")))

    assert (1, server.link("new/0")) == (client.polls, file.url)


async def test_picture_with_html_content_type_is_saved(server, make_downloads):
    """The bytes of a picture count, not its content type."""
    server.answers = [(200, {"content-type": "text/html"}, PNG)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (1, PNG) == (len(server.requests), file.path.read_bytes())


async def test_mirror_replaces_error_page(server, make_downloads):
    """A page at one link says nothing about its mirror."""
    server.answers = [(200, {}, PAGE)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link("a"), mirrors=[server.link("b")]))

    assert PNG == file.path.read_bytes()


async def test_wrong_kind_of_file_is_refused(server, make_downloads, folder):
    """A picture family gets no text, and the error says what came and what to do."""
    server.content = b'{"prompt": "no such file"}'

    async with make_downloads() as downloads:
        with pytest.raises(WrongContent, match="Family") as caught:
            await downloads.save(success(server.link()))

    assert "no such file" in str(caught.value).replace("\\", "") or "error" in str(caught.value)
    assert [] == names(folder)


async def test_suffix_comes_from_the_bytes(server, make_downloads):
    """Neither the URL nor the content type decides the suffix."""
    server.answers = [(200, {"content-type": "text/plain"}, PNG)]

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link("file.exe")))

    assert "images-1-0.png" == file.path.name


async def test_announced_size_above_limit_is_refused(server, make_downloads, folder):
    """The announced length is enough to refuse the file."""
    server.content = picture(4000)

    async with make_downloads(max_bytes=3999) as downloads:
        with pytest.raises(FileTooLarge, match="max_bytes="):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_unannounced_size_above_limit_is_cut_off(server, make_downloads, folder):
    """A file without an announced length is stopped at the limit."""

    async def endless(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2710\r\n" + picture(10_000) + b"\r\n")
            await writer.drain()

    server.answers = [endless]
    async with make_downloads(max_bytes=3_000_000) as downloads:
        with pytest.raises(FileTooLarge):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_chunked_file_is_complete(server, make_downloads):
    """A file without an announced length is saved completely."""

    async def chunked(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in PNG:
            writer.write(b"1\r\n%c\r\n" % byte)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    server.answers = [chunked]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert PNG == file.path.read_bytes()


async def test_flood_of_tiny_chunks_lets_other_tasks_run(make_downloads):
    """A body of 20,000 chunks that are all there at once does not hold the event loop."""
    turns = turns_meanwhile = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class TinyChunks(httpx.AsyncByteStream):
        async def __aiter__(self):
            nonlocal turns_meanwhile
            yield PNG
            before = turns
            for _ in range(20_000):
                yield b"x"
            turns_meanwhile = turns - before

    def answer(_request):
        return httpx.Response(200, stream=TinyChunks())

    async with make_downloads(http=httpx.MockTransport(answer)) as downloads:
        counter = asyncio.create_task(count_turns())
        (file,) = await downloads.save(success("https://cdn.example/0.png"))
        counter.cancel()

    assert len(PNG) + 20_000 == file.size
    assert turns_meanwhile >= 3


async def test_silent_server_counts_as_cut(server, make_downloads, monkeypatch, leap):
    """After the timeout, the rest of the file is fetched again."""
    server.content = picture(4000)
    server.answers = [server.stalled(1000)]
    read_chunk, received, is_read = LinkOpener.chunk, 0, asyncio.Event()

    async def chunk(self, *args):
        nonlocal received
        data = await read_chunk(self, *args)
        received += len(data or b"")
        if received >= 1000:
            is_read.set()
        return data

    # Only the reader of the body knows when the bytes have come.
    monkeypatch.setattr(LinkOpener, "chunk", chunk)

    async with make_downloads(timeout=300.0) as downloads:
        saving = asyncio.create_task(downloads.save(success(server.link())))
        await is_read.wait()
        # Bytes that a thread still writes begin the timeout anew.
        while len(server.requests) < 2:
            leap(300.0)
            await asyncio.sleep(0.5)
        (file,) = await saving

    assert 1000 == server.requests[1].start
    assert server.content == file.path.read_bytes()


async def test_server_error_is_retried_five_times(server, make_downloads):
    """After five rounds, the error says that saving can be repeated."""
    server.answers = [(500, {}, b"")] * 99

    async with make_downloads() as downloads:
        with pytest.raises(TransferFailed, match="save again") as caught:
            await downloads.save(success(server.link()))

    assert (500, 5) == (caught.value.status_code, len(server.requests))


async def test_compressed_body_is_refused(server, make_downloads):
    """A compressed body has no bound, so it is refused and tried again."""
    server.answers = [(200, {"content-encoding": "gzip"}, PNG)]

    async with make_downloads() as downloads:
        await downloads.save(success(server.link()))

    assert ["identity"] * 2 == [request.headers["accept-encoding"] for request in server.requests]


async def test_inline_data_is_saved(make_downloads):
    """Base64 and data URIs need no link."""
    text = base64.b64encode(PNG).decode()
    folded = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    bare = base64.urlsafe_b64encode(PNG).decode().rstrip("=")

    async with make_downloads() as downloads:
        files = await downloads.save(success(text, f"data:image/png;base64,{folded}", bare))

    assert [PNG] * 3 == [file.path.read_bytes() for file in files]
    assert [""] * 3 == [file.url for file in files]
    assert hashlib.sha256(PNG).hexdigest() == files[0].sha256


@pytest.mark.parametrize("prefix", [b"", b"data:image/png;base64,"])
async def test_base64_behind_link_is_decoded(prefix, server, make_downloads, folder):
    """Some links lead to a text file that holds the picture in base64."""
    content = picture(3_000_001)
    server.content = prefix + base64.encodebytes(content)

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link("0.txt")))

    assert content == file.path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    assert ["images-1-0.png"] == names(folder)


async def test_truncated_base64_behind_link_is_refused(server, make_downloads, folder):
    """Half a picture is not saved."""
    server.content = base64.b64encode(picture(9000)) + b"(cut)"

    async with make_downloads() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_transcript_is_saved_as_text(make_downloads):
    """In a text family, an output that is no link is a text, even if it looks like base64."""
    ticket = Ticket("whisper", 1)

    async with make_downloads() as downloads:
        files = await downloads.save(success("Grüße", "Okay", ticket=ticket))

    assert ["Grüße", "Okay"] == [file.path.read_text("utf-8") for file in files]
    assert ["whisper-1-0.txt", "whisper-1-1.txt"] == [file.path.name for file in files]


@pytest.mark.parametrize(
    "case",
    [
        ("whisper", "data:text/plain,hello%20world", b"hello world", "txt"),
        ("whisper", "data:,a+b%2Cc", b"a+b,c", "txt"),
        ("images", "data:image/svg+xml;utf8,<svg a='%23'></svg>", b"<svg a='#'></svg>", "svg"),
        ("images", "data:image/svg+xml;charset=utf-8,%3Csvg%20x='y'%3E", b"<svg x='y'>", "svg"),
        ("whisper", "data: 5, 6 and 7", b"data: 5, 6 and 7", "txt"),
        ("whisper", "<p>as it was said", b"<p>as it was said", "txt"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
async def test_data_uri_without_base64_is_decoded(case, linked, server, make_downloads):
    """The part after the comma is percent-decoded, in a reply and behind a link."""
    family, output, content, suffix = case
    if linked and output.startswith("<"):
        return
    server.content = output.encode()

    async with make_downloads() as downloads:
        given = server.link("0.txt") if linked else output
        (file,) = await downloads.save(success(given, ticket=Ticket(family, 1)))

    assert (content, f".{suffix}") == (file.path.read_bytes(), file.path.suffix)


@pytest.mark.parametrize("output", ["no picture", "data:image/png;base64,####", "file:///etc/x"])
async def test_unknown_output_is_refused(output, make_downloads, folder):
    """Only links, base64 and data URIs can be pictures; nothing else is opened."""
    async with make_downloads() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(output))

    assert [] == names(folder)


async def test_inline_data_has_the_same_limit(make_downloads):
    """The size limit holds for data inside a reply too."""
    async with make_downloads(max_bytes=len(PNG) - 1) as downloads:
        with pytest.raises(FileTooLarge):
            await downloads.save(success(base64.b64encode(PNG).decode()))


async def test_failed_output_keeps_the_others(server, make_downloads):
    """The error lists the outputs that were saved."""
    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(DownloadError) as caught:
            await downloads.save(success(server.link(), "no picture", server.link("2")))

    assert (1, TICKET) == (caught.value.n, caught.value.ticket)
    assert [0, 2] == [file.n for file in caught.value.saved]


async def test_cancelled_transfer_leaves_part(server, make_downloads, folder):
    """The next save continues the part, and no other file is left."""
    server.content = picture(3 << 20)
    server.answers = [server.stalled(5 << 19)]
    part = folder / "images-1-0.part"

    async with make_downloads() as downloads:
        task = asyncio.create_task(downloads.save(success(server.link())))
        while not part.exists() or part.stat().st_size < 2 << 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert ["images-1-0.part", "images-1-0.part.json"] == names(folder)
        kept_size = part.stat().st_size
        (file,) = await downloads.save(success(server.link()))

    assert kept_size == server.requests[1].start
    assert server.content == file.path.read_bytes()
    assert ["images-1-0.png"] == names(folder)


async def test_complete_save_removes_the_parts_of_all_cut_ones(server, make_downloads, folder):
    """Several processes were cut while they saved one output, and no later save opens `.2.part`."""
    server.content = picture(3 << 20)
    server.answers = [server.stalled(5 << 19) for _ in range(3)]
    parts = [folder / f"images-1-0{number}.part" for number in ("", ".2", ".3")]

    async with make_downloads() as downloads:
        tasks = [asyncio.create_task(downloads.save(success(server.link()))) for _ in parts]
        for part in parts:
            while not part.exists() or part.stat().st_size < 2 << 20:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert 6 == len(names(folder))
        await downloads.save(success(server.link()))

    assert ["images-1-0.png"] == names(folder)


async def test_cancelled_unresumable_transfer_leaves_nothing(server, make_downloads, folder):
    """Bytes that cannot be continued are not kept_size."""
    server.content, server.etag = picture(4000), None
    server.answers = [server.stalled(2500)]

    async with make_downloads() as downloads:
        task = asyncio.create_task(downloads.save(success(server.link())))
        while not names(folder):  # noqa: ASYNC110 -- there is no event for it.
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [] == names(folder)


@pytest.mark.parametrize("method", ["save", "load"])
async def test_cancellation_while_page_arrives_ends_the_transfer(
    method, server, make_downloads, folder, monkeypatch
):
    """The error about the page does not replace the cancellation, so no retry follows."""

    async def page(_request, writer):
        await server.send(writer, 200, {"content-length": "5000"}, PAGE)
        await asyncio.Event().wait()

    server.answers = [page]
    read_chunk, is_read = LinkOpener.chunk, asyncio.Event()

    async def chunk(self, *args):
        # The second call begins once the first chunk is in the buffer.
        data = await read_chunk(self, *args)
        asyncio.get_running_loop().call_soon(is_read.set)
        return data

    monkeypatch.setattr(LinkOpener, "chunk", chunk)
    async with make_downloads(timeout=3000) as downloads:
        task = asyncio.create_task(getattr(downloads, method)(success(server.link())))
        await is_read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert (1, []) == (len(server.requests), names(folder))


async def test_part_of_another_link_is_not_continued(server, make_downloads):
    """The same ETag behind another URL may be another file."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), NOT_FOUND]

    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(LinkGone):
            await downloads.save(success(server.link("a")))
        (file,) = await downloads.save(success(server.link("b")))

    assert [None, 2000, None] == [request.start for request in server.requests]
    assert server.content == file.path.read_bytes()


async def test_complete_part_needs_no_request(server, make_downloads, folder):
    """A complete part of an earlier run is checked and published without a request."""
    folder.mkdir()
    part = PartFile.open(folder, "images-1-0")
    part.restart(PartMetadata(server.link(), '"v1"', len(PNG)))
    part.append(PNG)
    part.close()

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link() + "?sig=new"))

    assert (PNG, []) == (file.path.read_bytes(), server.requests)


async def test_short_body_without_error_is_detected(make_downloads):
    """The announced length must come, whatever transport carries it."""

    def answer(_request):
        return httpx.Response(200, headers={"content-length": "9999"}, stream=Body(PNG))

    async with make_downloads(http=httpx.MockTransport(answer)) as downloads:
        with pytest.raises(TransferFailed, match=f"cut after {len(PNG)} of 9999"):
            await downloads.save(success("https://cdn.example/0.png"))


class Body(httpx.AsyncByteStream):
    def __init__(self, content):
        self.content = content

    async def __aiter__(self):
        yield self.content


async def test_response_read_by_hook_is_used(server, make_downloads):
    """The body that a caller's hook has read is used."""

    async def read(response):
        await response.aread()

    async with (
        httpx.AsyncClient(event_hooks={"response": [read]}) as http,
        make_downloads(http=http) as downloads,
    ):
        (file,) = await downloads.save(success(server.link()))

    assert PNG == file.path.read_bytes()


async def test_malformed_http_is_retried(server, make_downloads):
    """A server that answers something else than HTTP is tried again."""

    async def babble(_request, writer):
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()

    server.answers = [babble]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (2, PNG) == (len(server.requests), file.path.read_bytes())


async def test_truncated_inline_base64_is_refused(make_downloads):
    """It is neither a file nor a link."""
    text = base64.b64encode(picture(9000)).decode() + "(cut)"

    async with make_downloads() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(text))


async def test_expired_emulator_link_is_renewed(make_downloads):
    """The whole way: a job, an expired link, one more poll, two redirects, a file."""
    now = [0.0]
    emulator = Emulator(clock=lambda: now[0], links=FileLinks(lifetime=60.0, redirects=2))
    ticket = emulator.add_job("images:9", duration=0)
    async with run_server(emulator) as base_url, Client("any-key", base_url=base_url) as client:
        result = await client.wait(ticket)
        now[0] += 60.0
        async with make_downloads(client) as downloads:
            (file,) = await downloads.save(result)

    assert 2 == emulator.polls[ticket]
    assert make_file("images:9#0", "png").content == file.path.read_bytes()
