"""`Downloads.load`: the bytes of a result in memory, with the guards of a saved file."""

import base64
import gc
import hashlib
import tracemalloc

import httpx
import pytest

from modelslab_async import (
    ClientClosed,
    DownloadError,
    Downloads,
    FileTooLarge,
    LinkGone,
    LinkRefused,
    LoadedFile,
    Ticket,
    WrongContent,
)

from .conftest import PAGE, PNG, TICKET, FakeClient, names, picture, success


async def test_outputs_are_loaded(server, make_downloads, folder):
    """Each output has a name, its bytes and their checksum; nothing is written."""
    async with make_downloads() as downloads:
        files = await downloads.load(success(server.link("x.php?sig=secret"), server.link("y")))

    first = LoadedFile(
        ticket=TICKET,
        n=0,
        name="images-1-0.png",
        data=PNG,
        sha256=hashlib.sha256(PNG).hexdigest(),
        url=server.link("x.php"),
    )
    assert first == files[0]
    assert ["images-1-0.png", "images-1-1.png"] == [file.name for file in files]
    assert [] == names(folder)


async def test_no_folder_is_needed(server, tmp_path, monkeypatch):
    """Without a folder nothing can be saved, and the error says what to do."""
    monkeypatch.chdir(tmp_path)
    reply = success(server.link())
    async with Downloads(allow_private=True) as downloads:
        (file,) = await downloads.load(reply)
        with pytest.raises(ValueError, match=r"no folder to save in.*give to='out', or use `load`"):
            await downloads.save(reply)
        with pytest.raises(ValueError, match="no folder to save in"):
            await anext(downloads.stream([reply]))
    assert PNG == file.data
    assert [] == names(tmp_path)


@pytest.mark.parametrize("quarter", [1, 3])
async def test_cut_transfer_is_continued(quarter, server, make_downloads):
    """The next request asks for the rest of the same version."""
    server.content = picture(4000)
    server.answers = [server.cut(1000 * quarter)]
    async with make_downloads() as downloads:
        (file,) = await downloads.load(success(server.link()))
    assert server.content == file.data
    assert [None, 1000 * quarter] == [request.start for request in server.requests]


async def test_another_version_is_fetched_from_its_start(server, make_downloads):
    """No byte of the old version stays."""
    server.content = picture(4000)

    async def cut_then_changed(request, writer):
        await server.send(writer, *server.correct(request), cut=1000)
        server.content, server.etag = picture(3000)[::-1], '"v2"'
        server.content = PNG[:8] + server.content[8:]

    server.answers = [cut_then_changed]
    async with make_downloads() as downloads:
        (file,) = await downloads.load(success(server.link()))
    assert server.content == file.data


@pytest.mark.parametrize("announced", [True, False])
async def test_bytes_are_bounded(announced, server, make_downloads):
    """A file above the limit is refused, whether or not its length is announced."""
    server.content = picture(4000)
    if not announced:
        server.answers = [(200, {"content-length": "", "connection": "close"}, server.content)]
    async with make_downloads() as downloads:
        with pytest.raises(FileTooLarge, match="3999 are allowed; allow more with max_bytes"):
            await downloads.load(success(server.link()), max_bytes=3999)
        assert 4000 == len((await downloads.load(success(server.link()), max_bytes=4000))[0].data)


async def test_limit_is_that_of_all_outputs_together(server, make_downloads):
    """A reply with many links cannot fill the memory."""
    server.content = picture(1000)
    reply = success(*(server.link(str(n)) for n in range(5)))
    async with make_downloads() as downloads:
        with pytest.raises(FileTooLarge) as caught:
            await downloads.load(reply, max_bytes=4999)
        assert (TICKET, 4) == (caught.value.ticket, caught.value.n)
        assert 5 == len(await downloads.load(reply, max_bytes=5000))


@pytest.mark.parametrize("is_inline", [False, True])
@pytest.mark.parametrize("used_up", [False, True])
async def test_error_after_earlier_outputs_names_the_limit_of_the_caller(
    used_up, is_inline, server, make_downloads
):
    """Not the number of bytes that the earlier outputs leave of it, which may be 0."""
    server.content = picture(1000)
    second = base64.b64encode(PNG).decode() if is_inline else server.link("b")
    size, limit = len(PNG) if is_inline else 1000, 1000 if used_up else 1001
    failed = []
    async with make_downloads(on_event=failed.append) as downloads:
        with pytest.raises(FileTooLarge) as caught:
            await downloads.load(success(server.link(), second), max_bytes=limit)

    expected = (
        f"{size} bytes{'' if is_inline else ' or more'}, the outputs before it have 1000, and "
        f"{limit} are allowed for all together; allow more with max_bytes"
    )
    assert expected in str(caught.value)
    assert caught.value is failed[-1].error


async def test_inline_base64_is_loaded(make_downloads):
    """Bytes that the reply itself holds count towards the limit as well."""
    text = base64.b64encode(PNG).decode()
    async with make_downloads() as downloads:
        (file,) = await downloads.load(success(text))
        assert (PNG, "", "images-1-0.png") == (file.data, file.url, file.name)
        with pytest.raises(FileTooLarge):
            await downloads.load(success(text), max_bytes=len(PNG) - 1)


async def test_base64_behind_link_is_decoded(server, make_downloads):
    """A text file of base64 is the picture in it."""
    server.content = base64.b64encode(PNG)
    async with make_downloads() as downloads:
        (file,) = await downloads.load(success(server.link()))
    assert (PNG, "images-1-0.png") == (file.data, file.name)


@pytest.mark.parametrize("content", [PAGE, b'{"status": "error", "message": "expired"}', b"\0" * 9])
async def test_other_content_is_refused(content, server, make_downloads):
    """An error page is no picture, whatever its status says."""
    server.content = content
    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(WrongContent):
            await downloads.load(success(server.link()))


@pytest.mark.parametrize(
    "link", ["http://93.184.215.14/0.png", "https://127.0.0.1/0.png", "https://169.254.169.254/"]
)
async def test_private_links_are_refused(link):
    """By default only https links to public addresses are followed."""
    async with Downloads(link_timeout=0) as downloads:
        with pytest.raises(LinkRefused, match="allow_private=True"):
            await downloads.load(success(link))


async def test_redirect_to_private_address_is_refused():
    """Each redirect is checked like the link itself."""

    def redirect(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "https://127.0.0.1/0.png"})

    async with Downloads(http=httpx.MockTransport(redirect), link_timeout=0) as downloads:
        with pytest.raises(LinkRefused):
            await downloads.load(success("https://files.example/0.png"))


async def test_expired_link_is_renewed_by_one_poll(server, make_downloads):
    """The client is asked once for a new link."""
    server.at_path["old"] = (403, {}, b"expired")
    client = FakeClient(success(server.link("new")))
    async with make_downloads(client) as downloads:
        (file,) = await downloads.load(success(server.link("old")))
    assert (PNG, 1) == (file.data, client.polls)


async def test_dead_link_ends_with_its_ticket(server, make_downloads):
    """The error names the ticket and the output."""
    server.at_path["dead"] = (404, {}, b"")
    ticket = Ticket("images", 7)
    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(LinkGone) as caught:
            await downloads.load(success(server.link(), server.link("dead"), ticket=ticket))
    assert (ticket, 1) == (caught.value.ticket, caught.value.n)


class CutBody(httpx.AsyncByteStream):
    """Eight MiB of a picture, and then the connection breaks."""

    async def __aiter__(self):
        yield PNG[:8]
        for _ in range(8):
            yield bytes(1 << 20)
        raise httpx.ReadError("cut")


def cut_body():
    return httpx.Response(200, headers={"content-length": str(9 << 20)}, stream=CutBody())


def cut_base64():
    # The base64 of these bytes is whole groups of four characters. No group has one character.
    return httpx.Response(200, content=base64.b64encode(PNG[:9] + bytes(9 << 20)) + b"A")


def dead_second_link():
    return httpx.Response(200, content=PNG[:8] + bytes(8 << 20))


@pytest.mark.parametrize("answer", [cut_body, cut_base64, dead_second_link])
async def test_kept_error_keeps_no_bytes(answer, make_downloads):
    """A program that collects the errors of many loads does not run out of memory."""

    def handle(request):
        return answer() if request.url.path == "/0.png" else httpx.Response(410)

    reply = success("https://files.example/0.png", "https://files.example/1.png")
    async with make_downloads(http=httpx.MockTransport(handle), link_timeout=0) as downloads:
        tracemalloc.start()
        try:
            with pytest.raises(DownloadError) as caught:
                await downloads.load(reply)
            gc.collect()
            kept_bytes, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert answer is dead_second_link or caught.value.n == 0
    assert kept_bytes < 6 << 20


async def test_closed_downloads_load_nothing(make_downloads):
    """As for `save`, `aclose` is the end."""
    downloads = make_downloads()
    await downloads.aclose()
    with pytest.raises(ClientClosed):
        await downloads.load(success("https://files.example/0.png"))


@pytest.mark.parametrize("wrong", [0, "5", 1.5])
async def test_limit_is_checked(wrong, make_downloads):
    """It is a whole number of bytes."""
    async with make_downloads() as downloads:
        with pytest.raises((TypeError, ValueError), match=r"^max_bytes is a number of bytes"):
            await downloads.load(success("https://files.example/0.png"), max_bytes=wrong)
