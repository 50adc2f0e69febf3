"""Saving: what a link or a reply holds becomes one whole file, whatever happens on the way."""

import asyncio
import base64
import hashlib

import httpx
import pytest

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
from modelslab_async._downloads.part_file import PartFile
from modelslab_async._downloads.part_metadata import PartMetadata
from modelslab_async.emulator import Emulator, FileLinks, run_server
from modelslab_async.emulator.media.files import make_file

from .conftest import PAGE, PNG, TICKET, Fetches, Server, names, picture, success

NOT_FOUND = (404, {}, b"not yet")


async def test_an_output_becomes_a_file(server, saving, folder):
    """It has its family, id and number as its name, and its record says what it is."""
    async with saving() as downloads:
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
    assert {"/x.php?sig=secret", "/y"} == {asked.path for asked in server.asked}


@pytest.mark.parametrize("quarter", [1, 2, 3])
async def test_a_cut_transfer_is_gone_on_with(quarter, server, saving, folder):
    """The next request asks for the rest of the same version, and the file is whole."""
    server.content = picture(4000)
    server.answers = [server.cut(1000 * quarter)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    first, second = server.asked
    assert (None, None) == (first.start, first.headers.get("if-range"))
    assert (1000 * quarter, '"v1"') == (second.start, second.headers["if-range"])
    assert server.content == file.path.read_bytes()
    assert [file.path.name] == names(folder)


async def test_many_cuts_are_no_trouble_while_bytes_come(server, saving):
    """Only tries that bring nothing are counted."""
    server.content = picture(4000)
    server.answers = [server.cut(400) for _ in range(8)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()
    assert [None, *range(400, 3201, 400)] == [asked.start for asked in server.asked]


async def test_another_version_is_begun_anew(server, saving):
    """A server with a new ETag sends all of it, and nothing of the old one stays."""
    server.content = picture(4000)
    old = server.cut(2000)

    async def changes(asked, writer):
        await old(asked, writer)
        server.etag, server.content = '"v2"', PNG + bytes(5000)

    server.answers = [changes]
    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


@pytest.mark.parametrize(
    "lie",
    [
        {"content-range": "bytes 2000-3999/4000", "etag": '"v2"'},
        {"content-range": "bytes 1999-3999/4000"},
        {"content-range": "bytes 2000-3999/9999"},
        {},
    ],
    ids=["another tag", "another place", "another length", "no place"],
)
async def test_a_rest_that_does_not_fit_is_not_joined(lie, server, saving):
    """Where the 206 is of another version or place, the file is got anew."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), (206, lie, bytes(2000))]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()
    assert [None, 2000, None] == [asked.start for asked in server.asked]


async def test_a_range_that_does_not_exist_any_more(server, saving):
    """416 begins anew."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), (416, {"content-range": "bytes */7"}, b"")]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


@pytest.mark.parametrize(
    ("etag", "ranges"), [(None, True), ('W/"v1"', True), ('"v1"', False)], ids=str
)
async def test_what_cannot_be_resumed_is_begun_anew(etag, ranges, server, saving):
    """Without a tag that names the bytes, or without ranges, the whole file comes again."""
    server.content, server.etag, server.ranges = picture(4000), etag, ranges
    server.answers = [server.cut(2000)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert server.content == file.path.read_bytes()


async def test_a_date_does_where_there_is_no_tag(server, saving):
    """If-Range takes the date that the server gave."""
    server.content, server.etag = picture(4000), None
    date = {"last-modified": "Sat, 21 Nov 2026 10:00:00 GMT"}

    async def cut(_asked, writer):
        await server.send(writer, 200, date, server.content, cut=1000)

    rest = (206, date | {"content-range": "bytes 1000-3999/4000"}, server.content[1000:])
    server.answers = [cut, rest]
    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert date["last-modified"].lower() == server.asked[1].headers["if-range"]
    assert server.content == file.path.read_bytes()


async def test_a_file_that_is_late(server, saving):
    """A 404 after the success is waited out."""
    server.answers = [NOT_FOUND, NOT_FOUND]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (3, PNG) == (len(server.asked), file.path.read_bytes())


async def test_a_file_that_never_comes(server, saving, folder):
    """Patience has an end, and the error says what the server said."""
    server.answers = [NOT_FOUND] * 99

    async with saving(link_timeout=0.6) as downloads:
        with pytest.raises(LinkGone, match="404") as caught:
            await downloads.save(success(server.link("a?sig=secret")))

    assert (404, TICKET, server.link("a")) == (
        caught.value.status_code,
        caught.value.ticket,
        caught.value.url,
    )
    assert "secret" not in str(caught.value)
    assert [] == names(folder)
    assert len(server.asked) > 1


async def test_a_mirror_stands_in(server, saving):
    """Where the link is dead the proxy link of the same output is taken at once."""
    async with Server() as mirror:
        server.answers = [(503, {}, b"")]
        result = success(server.link(), mirrors=[mirror.link("m.png")])
        async with saving() as downloads:
            (file,) = await downloads.save(result)

        assert (mirror.link("m.png"), 1, 1) == (file.url, len(server.asked), len(mirror.asked))


async def test_mirrors_of_other_outputs_are_left_alone(server, saving):
    """Proxy links that cannot be told to belong to an output are not used."""
    server.answers = [(410, {}, b"")] * 9
    result = success(server.link("a"), server.link("b"), mirrors=[server.link("m")])

    async with saving(link_timeout=0) as downloads:
        with pytest.raises(LinkGone):
            await downloads.save(result)

    assert {"/a", "/b"} == {asked.path for asked in server.asked}


@pytest.mark.parametrize("status", [403, 410])
async def test_an_expired_link_is_asked_for_anew_once(status, server, saving):
    """One look for the whole ticket gives new links; nobody waits for the old ones."""
    server.at_path["old"] = (status, {}, b"expired")
    fresh = success(server.link("new/0"), server.link("new/1"))
    polls = Fetches(fresh)

    async with saving(polls) as downloads:
        files = await downloads.save(success(server.link("old/0"), server.link("old/1")))

    assert 1 == polls.polls
    assert 4 == len(server.asked)
    assert [server.link("new/0"), server.link("new/1")] == [file.url for file in files]


async def test_a_dead_link_is_asked_for_anew_when_patience_ends(server, saving):
    """A 404 may be a file that is late, so the look comes last."""
    server.answers = [NOT_FOUND]
    polls = Fetches(success(server.link("new")))

    async with saving(polls, link_timeout=0) as downloads:
        (file,) = await downloads.save(success(server.link("old")))

    assert (1, server.link("new")) == (polls.polls, file.url)


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
async def test_a_look_that_does_not_help(reply, server, saving):
    """It is still one look, and the error says that the link is gone."""
    server.answers = [(410, {}, b"expired")] * 99
    if "dead" in str(reply):
        reply = success(server.link("still-dead"))
    polls = Fetches(reply)

    async with saving(polls, link_timeout=0) as downloads:
        with pytest.raises(LinkGone, match="410"):
            await downloads.save(success(server.link("a"), server.link("b")))

    assert 1 == polls.polls
    assert len(server.asked) <= 3


async def test_a_page_is_no_picture(server, saving, folder):
    """An HTML page with status 200 is refused, whatever it calls itself, and not kept."""
    server.answers = [(200, {"content-type": "image/png", "etag": '"p"'}, PAGE)]

    async with saving(link_timeout=0) as downloads:
        with pytest.raises(WrongContent, match=r"web page.* save again later") as caught:
            await downloads.save(success(server.link()))

    assert (1, []) == (len(server.asked), names(folder))
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
async def test_a_page_that_goes_by(family, answer, server, saving, folder):
    """A CDN that is not ready yet is waited for, as after a 404; no page is ever a result."""
    ticket, (stated, body) = Ticket(family, 1), answer
    content = {"whisper": b"words", "voice": b"ID3\4sound", "images": PNG}[family]
    server.answers = [(200, {"content-type": stated}, body)] * 2
    server.content = content

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link(), ticket=ticket))

    assert (3, content) == (len(server.asked), file.path.read_bytes())
    assert [file.path.name] == names(folder)


async def test_a_page_in_the_end_asks_for_a_new_link(server, saving):
    """Some stores answer an expired link with a page; what the look brings is taken."""
    server.at_path["old"] = (200, {}, PAGE)
    polls = Fetches(success(server.link("new/0")))

    async with saving(polls, link_timeout=0) as downloads:
        (file,) = await downloads.save(success(server.link("old/0")))

    assert (1, server.link("new/0")) == (polls.polls, file.url)


async def test_a_picture_that_is_called_a_page(server, saving):
    """Bytes that are plainly a picture are one."""
    server.answers = [(200, {"content-type": "text/html"}, PNG)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (1, PNG) == (len(server.asked), file.path.read_bytes())


async def test_a_mirror_stands_in_for_a_page(server, saving):
    """A page at one link says nothing about the other."""
    server.answers = [(200, {}, PAGE)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link("a"), mirrors=[server.link("b")]))

    assert PNG == file.path.read_bytes()


async def test_another_kind_of_file_is_refused(server, saving, folder):
    """A family of pictures gets no text, and the error says what came and what to do."""
    server.content = b'{"prompt": "no such file"}'

    async with saving() as downloads:
        with pytest.raises(WrongContent, match="Family") as caught:
            await downloads.save(success(server.link()))

    assert "no such file" in str(caught.value).replace("\\", "") or "error" in str(caught.value)
    assert [] == names(folder)


async def test_the_content_names_the_ending(server, saving):
    """Neither the URL nor the content type does."""
    server.answers = [(200, {"content-type": "text/plain"}, PNG)]

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link("file.exe")))

    assert "images-1-0.png" == file.path.name


async def test_a_file_above_the_cap_is_not_begun(server, saving, folder):
    """Its announced length is enough to refuse it."""
    server.content = picture(4000)

    async with saving(max_bytes=3999) as downloads:
        with pytest.raises(FileTooLarge, match="max_bytes="):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_a_file_that_grows_above_the_cap_is_cut_off(server, saving, folder):
    """Nobody needs to announce anything."""

    async def endless(_asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2710\r\n" + picture(10_000) + b"\r\n")
            await writer.drain()

    server.answers = [endless]
    async with saving(max_bytes=3_000_000) as downloads:
        with pytest.raises(FileTooLarge):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_chunks_are_put_together(server, saving):
    """A file whose length nobody announced is whole all the same."""

    async def chunked(_asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in PNG:
            writer.write(b"1\r\n%c\r\n" % byte)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    server.answers = [chunked]
    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert PNG == file.path.read_bytes()


async def test_a_silent_server_is_left(server, saving):
    """Silence in the middle counts as a cut, and the rest is asked for."""
    server.content = picture(4000)
    server.answers = [server.stalled(1000)]

    async with saving(timeout=0.5) as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert 1000 == server.asked[1].start
    assert server.content == file.path.read_bytes()


async def test_a_server_in_trouble_is_asked_again_a_few_times(server, saving):
    """Then the error tells that saving can be repeated."""
    server.answers = [(500, {}, b"")] * 99

    async with saving() as downloads:
        with pytest.raises(TransferFailed, match="save again") as caught:
            await downloads.save(success(server.link()))

    assert (500, 5) == (caught.value.status_code, len(server.asked))


async def test_a_packed_file_is_not_taken(server, saving):
    """Bytes that were asked for plain and come packed have no bound."""
    server.answers = [(200, {"content-encoding": "gzip"}, PNG)]

    async with saving() as downloads:
        await downloads.save(success(server.link()))

    assert ["identity"] * 2 == [asked.headers["accept-encoding"] for asked in server.asked]


async def test_what_is_in_the_reply_is_written(saving):
    """Base64 and data URIs need no link."""
    text = base64.b64encode(PNG).decode()
    folded = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    bare = base64.urlsafe_b64encode(PNG).decode().rstrip("=")

    async with saving() as downloads:
        files = await downloads.save(success(text, f"data:image/png;base64,{folded}", bare))

    assert [PNG] * 3 == [file.path.read_bytes() for file in files]
    assert [""] * 3 == [file.url for file in files]
    assert hashlib.sha256(PNG).hexdigest() == files[0].sha256


@pytest.mark.parametrize("prefix", [b"", b"data:image/png;base64,"])
async def test_a_link_to_base64_is_decoded(prefix, server, saving, folder):
    """Some links lead to a text file with the picture in base64."""
    content = picture(3_000_001)
    server.content = prefix + base64.encodebytes(content)

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link("0.txt")))

    assert content == file.path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    assert ["images-1-0.png"] == names(folder)


async def test_base64_that_breaks_off_is_refused(server, saving, folder):
    """Half a picture is none."""
    server.content = base64.b64encode(picture(9000)) + b"(cut)"

    async with saving() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(server.link()))

    assert [] == names(folder)


async def test_a_transcript_is_a_text(saving):
    """Where a family makes texts, an output that is no link is one; also one that looks packed."""
    ticket = Ticket("whisper", 1)

    async with saving() as downloads:
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
async def test_a_data_uri_without_base64(case, linked, server, saving):
    """What stands behind its comma is undone, be it in the reply or behind a link."""
    family, output, content, suffix = case
    if linked and output.startswith("<"):
        return
    server.content = output.encode()

    async with saving() as downloads:
        given = server.link("0.txt") if linked else output
        (file,) = await downloads.save(success(given, ticket=Ticket(family, 1)))

    assert (content, f".{suffix}") == (file.path.read_bytes(), file.path.suffix)


@pytest.mark.parametrize("output", ["no picture", "data:image/png;base64,####", "file:///etc/x"])
async def test_what_is_no_output_is_refused(output, saving, folder):
    """A picture is a link, base64 or a data URI; nothing else is opened."""
    async with saving() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(output))

    assert [] == names(folder)


async def test_inline_data_has_the_same_cap(saving):
    """A reply is no way around it."""
    async with saving(max_bytes=len(PNG) - 1) as downloads:
        with pytest.raises(FileTooLarge):
            await downloads.save(success(base64.b64encode(PNG).decode()))


async def test_one_failure_does_not_cost_the_others(server, saving):
    """The error tells which outputs are there."""
    async with saving(link_timeout=0) as downloads:
        with pytest.raises(DownloadError) as caught:
            await downloads.save(success(server.link(), "no picture", server.link("2")))

    assert (1, TICKET) == (caught.value.n, caught.value.ticket)
    assert [0, 2] == [file.n for file in caught.value.saved]


async def test_a_cancelled_transfer_leaves_a_part(server, saving, folder):
    """The part is resumed by whoever saves next, and no other file is left."""
    server.content = picture(3 << 20)
    server.answers = [server.stalled(5 << 19)]
    part = folder / "images-1-0.part"

    async with saving() as downloads:
        task = asyncio.create_task(downloads.save(success(server.link())))
        while not part.exists() or part.stat().st_size < 2 << 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert ["images-1-0.part", "images-1-0.part.json"] == names(folder)
        kept = part.stat().st_size
        (file,) = await downloads.save(success(server.link()))

    assert kept == server.asked[1].start
    assert server.content == file.path.read_bytes()
    assert ["images-1-0.png"] == names(folder)


async def test_a_cancelled_transfer_that_cannot_be_resumed_leaves_nothing(server, saving, folder):
    """Bytes that nobody could go on with are not kept."""
    server.content, server.etag = picture(4000), None
    server.answers = [server.stalled(2500)]

    async with saving() as downloads:
        task = asyncio.create_task(downloads.save(success(server.link())))
        while not names(folder):  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [] == names(folder)


async def test_a_part_of_another_link_is_not_resumed(server, saving):
    """The same tag behind another URL may be another file."""
    server.content = picture(4000)
    server.answers = [server.cut(2000), NOT_FOUND]

    async with saving(link_timeout=0) as downloads:
        with pytest.raises(LinkGone):
            await downloads.save(success(server.link("a")))
        (file,) = await downloads.save(success(server.link("b")))

    assert [None, 2000, None] == [asked.start for asked in server.asked]
    assert server.content == file.path.read_bytes()


async def test_a_whole_part_needs_no_request(server, saving, folder):
    """What had come before a run was ended is checked and named, and not asked for again."""
    folder.mkdir()
    part = PartFile.open(folder, "images-1-0")
    part.restart(PartMetadata(server.link(), '"v1"', len(PNG)))
    part.append(PNG)
    part.close()

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link() + "?sig=new"))

    assert (PNG, []) == (file.path.read_bytes(), server.asked)


async def test_a_body_that_ends_early_without_a_word(saving):
    """Whoever carries it, the announced length is what has to come."""

    def answer(_request):
        return httpx.Response(200, headers={"content-length": "9999"}, stream=Body(PNG))

    async with saving(http=httpx.MockTransport(answer)) as downloads:
        with pytest.raises(TransferFailed, match=f"cut after {len(PNG)} of 9999"):
            await downloads.save(success("https://cdn.example/0.png"))


class Body(httpx.AsyncByteStream):
    def __init__(self, content):
        self.content = content

    async def __aiter__(self):
        yield self.content


async def test_a_client_whose_hook_reads_the_response(server, saving):
    """What a hook has read already is taken from there."""

    async def read(response):
        await response.aread()

    async with (
        httpx.AsyncClient(event_hooks={"response": [read]}) as http,
        saving(http=http) as downloads,
    ):
        (file,) = await downloads.save(success(server.link()))

    assert PNG == file.path.read_bytes()


async def test_what_is_no_http(server, saving):
    """A server that speaks something else is a server in trouble."""

    async def babble(_asked, writer):
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()

    server.answers = [babble]
    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (2, PNG) == (len(server.asked), file.path.read_bytes())


async def test_base64_in_a_reply_that_breaks_off(saving):
    """It is neither a file nor a link."""
    text = base64.b64encode(picture(9000)).decode() + "(cut)"

    async with saving() as downloads:
        with pytest.raises(WrongContent):
            await downloads.save(success(text))


async def test_a_link_of_the_emulator_that_expires(saving):
    """The whole way: a job, an expired link, one more look, two redirects, a file."""
    now = [0.0]
    emulator = Emulator(clock=lambda: now[0], links=FileLinks(lifetime=60.0, redirects=2))
    ticket = emulator.add_job("images:9", duration=0)
    async with run_server(emulator) as base_url, Client("any-key", base_url=base_url) as client:
        result = await client.wait(ticket)
        now[0] += 60.0
        async with saving(client) as downloads:
            (file,) = await downloads.save(result)

    assert 2 == emulator.polls[ticket]
    assert make_file("images:9#0", "png").content == file.path.read_bytes()
