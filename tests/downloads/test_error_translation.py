"""Error translation: whatever is raised for one output, only that output is unsaved."""

import asyncio
import errno
import threading

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelslab_async import (
    DownloadError,
    Downloads,
    LinkGone,
    LinkRefused,
    Saved,
    Ticket,
    TransferFailed,
    Unsaved,
)
from modelslab_async._aio.threads import run_in_thread
from modelslab_async._downloads.part_file import PartFile

from .conftest import PNG, success

GOOD = "https://cdn.example/good.png"
BAD = "https://cdn.example/bad.png"


class Foreign(Exception):
    """An exception of a foreign library. Even its text cannot be read."""

    def __str__(self):
        raise RuntimeError("no text")


class ForeignBase(BaseException):
    """An exception that `except Exception` does not catch."""


FOREIGN = [
    ForeignBase("odd"),
    BaseExceptionGroup("several", [ForeignBase("odd")]),
    Foreign(),
    ValueError("odd"),
    RecursionError("deep"),
    MemoryError(),
    StopAsyncIteration(),
    asyncio.CancelledError("not this task"),
    ExceptionGroup("several", [KeyError("x")]),
]


def raising(fault):
    async def handle(request):
        if request.url.path == "/bad.png":
            raise fault
        return httpx.Response(200, content=PNG)

    return httpx.MockTransport(handle)


async def both(downloads, bad=BAD):
    """The results of a ticket with a bad link and of one with a good link."""
    outcomes = [
        success(bad, ticket=Ticket("images", 1)),
        success(GOOD, ticket=Ticket("images", 2)),
    ]
    results = {result.ticket.id: result async for result in downloads.stream(outcomes)}
    return results["1"], results["2"]


@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: type(fault).__name__)
async def test_foreign_exception_of_transport_leaves_one_ticket_unsaved(fault, folder):
    """The transport may raise anything; the other ticket is saved."""
    async with Downloads(to=folder, http=raising(fault)) as downloads:
        bad, good = await both(downloads)

    assert (Unsaved, Saved) == (type(bad), type(good))
    assert isinstance(bad.cause, DownloadError)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "raise the limit of open files (`ulimit -n`), or lower `concurrency`; "),
        (errno.ENFILE, "raise the limit of open files (`ulimit -n`), or lower `concurrency`; "),
        (errno.ENETUNREACH, ""),
    ],
)
async def test_connection_without_a_descriptor_names_the_limit(number, advice, folder):
    """A socket needs a descriptor, as a file does."""
    async with Downloads(to=folder, http=raising(OSError(number, "odd"))) as downloads:
        result = await downloads.try_save(success(BAD))

    expected = f"OSError: odd; {advice}save again to continue where it stopped"
    assert (TransferFailed, expected) == (type(result.cause), result.cause.message)


class RaisingBody(httpx.AsyncByteStream):
    def __init__(self, fault, *, when_closed):
        self.fault = fault
        self.when_closed = when_closed

    async def __aiter__(self):
        yield PNG[:20]
        if not self.when_closed:
            raise self.fault
        yield PNG[20:]

    async def aclose(self):
        if self.when_closed:
            raise self.fault


@pytest.mark.parametrize("when_closed", [False, True])
@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: type(fault).__name__)
async def test_foreign_exception_of_body_leaves_one_ticket_unsaved(fault, when_closed, folder):
    """The body may raise anything while it is read. An `Exception` of its close costs nothing."""

    def handle(request):
        body = RaisingBody(fault, when_closed=when_closed)
        is_bad = request.url.path == "/bad.png"
        return httpx.Response(200, stream=body) if is_bad else httpx.Response(200, content=PNG)

    async with Downloads(to=folder, http=httpx.MockTransport(handle)) as downloads:
        bad, good = await both(downloads)

    is_whole = when_closed and isinstance(fault, Exception)
    assert (Saved if is_whole else Unsaved, Saved) == (type(bad), type(good))


@pytest.mark.parametrize(
    "method", ["open", "restart", "append", "publish", "delete", "head", "close"]
)
@pytest.mark.parametrize(
    "fault", [ValueError("odd"), RecursionError(), MemoryError(), StopIteration(), OSError("odd")]
)
async def test_foreign_exception_of_part_file_leaves_one_ticket_unsaved(
    method, fault, folder, monkeypatch
):
    """Blocking work runs in threads; whatever it raises, its caller gets a result."""
    real = getattr(PartFile, method)

    def fails_for_first(*args, **more):
        stem = args[1] if method == "open" else args[0].stem
        if stem == "images-1-0":
            raise fault
        return real(*args, **more)

    monkeypatch.setattr(PartFile, method, fails_for_first)
    async with Downloads(to=folder, http=raising(None)) as downloads:
        bad, good = await both(downloads, "https://cdn.example/other.png")

    assert isinstance(good, Saved)
    assert isinstance(bad, Saved) if method == "close" else isinstance(bad.cause, DownloadError)


async def test_failing_undo_keeps_the_cancellation():
    """A cancelled caller stays cancelled, even if the unused result cannot be undone."""
    started, release = threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(10)

    def undo(_result):
        raise OSError("odd")

    task = asyncio.create_task(run_in_thread(work, undo=undo))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    release.set()

    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_all_tasks():
    """Cancel all tasks, as `asyncio.run` does at the end of a program. Let them end."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_thread_is_waited_for_though_all_tasks_are_cancelled():
    """The caller could otherwise close a file that the thread still writes."""
    started, release, undone = threading.Event(), threading.Event(), []

    def work():
        started.set()
        release.wait(10)
        return "opened"

    task = asyncio.create_task(run_in_thread(work, undo=undone.append))
    await asyncio.to_thread(started.wait, 10)
    await cancel_all_tasks()
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["opened"] == undone


async def test_work_whose_thread_has_not_begun_never_begins_once_all_tasks_are_cancelled():
    """Nothing waits for it, so it must not run later."""
    begun = []
    task = asyncio.create_task(run_in_thread(begun.append, 1, undo=begun.append))
    await asyncio.sleep(0)
    await cancel_all_tasks()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == begun


@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: type(fault).__name__)
async def test_foreign_exception_of_renewal_leaves_one_ticket_unsaved(fault, folder):
    """A poll for a new link may raise anything too."""

    class Raises:
        async def fetch(self, _ticket, /):
            raise fault

    def handle(request):
        is_bad = request.url.path == "/bad.png"
        return httpx.Response(410) if is_bad else httpx.Response(200, content=PNG)

    async with Downloads(Raises(), to=folder, http=httpx.MockTransport(handle)) as downloads:
        bad, good = await both(downloads)

    assert (Unsaved, Saved) == (type(bad), type(good))
    if isinstance(bad.cause, LinkGone):
        assert isinstance(bad.cause.__cause__, LinkGone)
        assert bad.cause.__cause__.__cause__ is bad.cause.__cause__.__context__ is None


NO_LINKS = [
    "https://xn--/a.png",
    "https://xn--a",
    "https://xn--ls8h:",
    "https://[::1",
    "https://x:99999/",
    "https://x:-1/",
    "https://x:0/",
    "https://cdn.example/\ud800",
    f"https://{'a' * 70_000}/",
    f"https://{'a.' * 150}example/",
]


@pytest.mark.parametrize(
    ("link", "is_redirect"),
    [
        *((link, False) for link in NO_LINKS),
        *((link, True) for link in NO_LINKS if link.isascii()),
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_link_that_is_no_url_is_refused(link, is_redirect, folder):
    """No request is sent for it, and the other ticket is saved."""
    paths = []

    def handle(request):
        paths.append(request.url.path)
        if request.url.path == "/bad.png":
            return httpx.Response(302, headers={"location": link})
        return httpx.Response(200, content=PNG)

    async with Downloads(to=folder, http=httpx.MockTransport(handle)) as downloads:
        bad, good = await both(downloads, BAD if is_redirect else link)

    assert isinstance(bad.cause, LinkRefused)
    assert isinstance(good, Saved)
    assert ({"/bad.png", "/good.png"} if is_redirect else {"/good.png"}) == set(paths)


HOST_CHARS = st.sampled_from([*"xn--.:@[]%/\\?#0189abäß√\u200d\ud800\0 \t", "xn--", "..", "%2e"])
ODD_LINKS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "http://", "HTTPS://", "https:///"]),
    st.lists(HOST_CHARS, max_size=12).map("".join),
    st.one_of(st.just(""), st.text(max_size=12)),
)


@given(link=ODD_LINKS)
@example(link="https://xn--/a.png")
@example(link="http://x:99999")
def test_odd_link_never_raises_a_foreign_exception(link, tmp_path_factory):
    """Random links are saved, refused, or fail as transfers."""

    def handle(_request):
        return httpx.Response(200, content=PNG)

    async def save():
        folder = tmp_path_factory.mktemp("odd")
        transport = httpx.MockTransport(handle)
        async with Downloads(
            to=folder, http=transport, allow_private=True, link_timeout=0
        ) as downloads:
            return await downloads.try_save(success(link))

    result = asyncio.run(save())

    assert isinstance(result, Saved) or isinstance(result.cause, LinkRefused | TransferFailed)
