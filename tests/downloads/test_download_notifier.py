"""The events of downloads: what is begun, resumed, saved or given up."""

import asyncio
from contextvars import ContextVar

import pytest

from modelslab_async import (
    Downloaded,
    DownloadFailed,
    DownloadResumed,
    Downloads,
    DownloadStarted,
    LinkGone,
)

from .conftest import PNG, TICKET, picture, success

SECRET = "?signature=secret"
request_id = ContextVar("request_id", default="none")


def kinds(events):
    return [type(event).__name__ for event in events]


async def test_download_is_started_and_saved(server, make_downloads):
    """A transfer without trouble is two events, the second with bytes and seconds."""
    events = []
    async with make_downloads(on_event=events.append) as downloads:
        [file] = await downloads.save(success(server.link() + SECRET))
    started, saved = events
    assert DownloadStarted(ticket=TICKET, n=0, url=server.link(), size=len(PNG)) == started
    assert isinstance(saved, Downloaded)
    assert (file, len(PNG)) == (saved.file, saved.received)
    assert saved.elapsed > 0
    assert "secret" not in repr(events)


async def test_cut_download_is_resumed(server, make_downloads):
    """A transfer that is cut goes on where it ended, and no byte is counted twice."""
    events = []
    server.content = picture(4000)
    server.answers = [server.cut(1000)]
    async with make_downloads(on_event=events.append) as downloads:
        await downloads.save(success(server.link()))
    assert ["DownloadStarted", "DownloadResumed", "Downloaded"] == kinds(events)
    _, resumed, saved = events
    assert isinstance(resumed, DownloadResumed)
    assert (1000, 4000) == (resumed.offset, resumed.size)
    assert 4000 == saved.received


async def test_part_of_an_earlier_run_is_not_counted_as_received(server, make_downloads):
    """What another run received is the offset of the resumed download."""
    server.content = picture(4000)
    server.answers = [server.cut(1000), (404, {}, b"")]
    async with make_downloads(link_timeout=0) as downloads:
        with pytest.raises(LinkGone):
            await downloads.save(success(server.link()))
    events = []
    async with make_downloads(on_event=events.append) as downloads:
        await downloads.save(success(server.link()))
    resumed, saved = events
    assert (1000, 3000) == (resumed.offset, saved.received)


async def test_changed_file_is_started_again(server, make_downloads):
    """If the file has changed since it was cut, it is started again from its first byte."""
    events = []
    server.content = picture(4000)

    async def cut_then_changed(request, writer):
        await server.send(writer, *server.correct(request), cut=1000)
        server.etag = '"v2"'

    server.answers = [cut_then_changed]
    async with make_downloads(on_event=events.append) as downloads:
        await downloads.save(success(server.link()))
    assert ["DownloadStarted", "DownloadStarted", "Downloaded"] == kinds(events)
    assert 5000 == events[-1].received


async def test_dead_link_is_a_failure(server, make_downloads):
    """A link that stays dead is one `DownloadFailed`, with the error that the caller gets."""
    events = []
    server.answers = [(404, {}, b"")]
    async with make_downloads(on_event=events.append, link_timeout=0) as downloads:
        with pytest.raises(LinkGone) as caught:
            await downloads.save(success(server.link()))
    [failed] = events
    assert isinstance(failed, DownloadFailed)
    assert caught.value is failed.error
    assert (TICKET, 0, 0) == (failed.ticket, failed.n, failed.received)


async def test_unchanged_file_makes_no_event(server, make_downloads):
    """A file that an earlier run saved is not downloaded, so nothing is told."""
    async with make_downloads() as downloads:
        files = await downloads.save(success(server.link()))
    events = []
    async with make_downloads(on_event=events.append, known=files) as downloads:
        assert files == await downloads.save(success(server.link()))
    assert [] == events


async def test_listener_sees_its_caller_and_may_raise(server, make_downloads, caplog):
    """A listener reads the caller's context variables, and what it raises ends nothing."""
    seen = []

    def record(_event):
        seen.append(request_id.get())
        raise asyncio.CancelledError

    request_id.set("r-17")
    async with make_downloads(on_event=record) as downloads:
        [file] = await downloads.save(success(server.link()))
    assert PNG == file.path.read_bytes()
    assert ["r-17", "r-17"] == seen
    assert "on_event raised" in caplog.text


async def test_async_listener_is_refused(tmp_path):
    """An `on_event` that is `async def` would never run, so it is refused."""

    async def listener(_event):
        """Never called."""

    with pytest.raises(TypeError, match="async def"):
        Downloads(to=tmp_path, on_event=listener)
