"""Downloads: many outcomes become files as they end, and records say later if they changed."""

import asyncio
import gc
import os
import tempfile
from itertools import count
from pathlib import Path

import httpx
import pytest
from attrs import evolve

from modelslab_async import (
    Client,
    ClientClosed,
    Downloads,
    Failed,
    FileNotWritten,
    LinkGone,
    Saved,
    Ticket,
    TransferFailed,
    Unresolved,
    Unsaved,
    Unsubmitted,
    WaitTimeout,
    download,
    verify,
)
from modelslab_async.emulator import Emulator, Jobs
from tests.unprivileged_user import unprivileged_user

from .conftest import PNG, names, picture, success


def tickets(count):
    return [Ticket("images", n) for n in range(count)]


async def test_stream_saves_each_success_as_it_ends(tmp_path):
    """Failed and unresolved tickets are passed on, and every success has its files."""
    emulator = Emulator()
    good = [emulator.add_job(ticket, duration=0) for ticket in tickets(20)]
    bad = emulator.add_job("images:bad", duration=0, fails=True)
    http = httpx.ASGITransport(app=emulator)

    async with (
        Client("any-key", base_url="http://e.test/api", http=http) as client,
        Downloads(client, to=tmp_path, http=http, allow_private=True) as downloads,
    ):
        results = [each async for each in downloads.stream(client.stream([*good, bad]))]

    saved = [each for each in results if isinstance(each, Saved)]
    assert {*good} == {each.ticket for each in saved}
    assert [bad] == [each.ticket for each in results if isinstance(each, Failed)]
    assert 20 == len(names(tmp_path))
    for each in saved:
        assert each.success.output[0] == each.files[0].url


async def test_unsaved_output_is_a_value(server, make_downloads):
    """One bad link ends only its own ticket."""
    server.at_path["dead"] = (410, {}, b"")
    outcomes = [
        success(server.link("0"), server.link("dead/1"), ticket=Ticket("images", 1)),
        success(server.link("0"), ticket=Ticket("images", 2)),
        Unresolved(ticket=Ticket("images", 3), cause=WaitTimeout("late")),
        success(ticket=Ticket("images", 4)),
    ]

    async with make_downloads(link_timeout=0) as downloads:
        results = {each.ticket.id: each async for each in downloads.stream(outcomes)}

    assert [Unsaved, Saved, Unresolved, Saved] == [type(results[id_]) for id_ in "1234"]
    assert isinstance(results["1"].cause, LinkGone)
    assert (1, 0) == (len(results["1"].files), len(results["4"].files))


async def test_source_error_comes_after_earlier_results(server, make_downloads):
    """The error of the source is raised last."""

    async def source():
        yield success(server.link())
        raise RuntimeError("the source broke")

    async with make_downloads() as downloads:
        stream = downloads.stream(source())
        assert isinstance(await anext(stream), Saved)
        with pytest.raises(RuntimeError, match="the source broke"):
            await anext(stream)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ((("realtime/text2img", {}), success()), "outcome async for _, outcome in client.generate"),
        ("images:1", "client.stream"),
    ],
)
async def test_item_that_is_no_outcome_is_refused(server, make_downloads, wrong, advice):
    """The error says what was expected, what came and what to write; earlier items are saved."""
    async with make_downloads() as downloads:
        stream = downloads.stream([success(server.link()), wrong])
        assert isinstance(await anext(stream), Saved)
        with pytest.raises(TypeError, match=f"got a {type(wrong).__name__}; .*{advice}"):
            await anext(stream)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("images:5", "(await client.wait(ticket))"),
        (Ticket("images", 5), "(await client.wait(ticket))"),
        (Unresolved(ticket=Ticket("images", 3), cause=WaitTimeout("late")), "client.generate"),
        (None, "client.generate"),
    ],
)
@pytest.mark.parametrize("method", ["save", "try_save", "load"])
async def test_argument_that_is_no_success_is_refused(make_downloads, method, wrong, advice):
    """The error says what was expected, what came and what to pass."""
    async with make_downloads() as downloads:
        with pytest.raises(TypeError, match=f"{method} takes a Success, got a ") as caught:
            await getattr(downloads, method)(wrong)
    assert type(wrong).__name__ in str(caught.value)
    assert advice in str(caught.value)


async def test_generate_many_outcomes_are_saved(tmp_path):
    """The outcomes of generate_many are accepted; an unsubmitted one is passed on."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), keys=["a-key"])
    http = httpx.ASGITransport(app=emulator)
    requests = [("realtime/text2img", {"prompt": f"lighthouse {n}"}) for n in range(3)]

    async def kinds(key):
        async with (
            Client(key, base_url="http://e.test/api", http=http) as client,
            Downloads(client, to=tmp_path, http=http, allow_private=True) as downloads,
        ):
            generated = client.generate_many(requests)
            outcomes = (outcome async for _, outcome in generated)
            return [type(each) async for each in downloads.stream(outcomes)]

    assert [Saved] * 3 == await kinds("a-key")
    assert [Unsubmitted] * 3 == await kinds("another-key")
    assert 3 == len(names(tmp_path))


async def test_stream_left_early_leaves_no_task(server, make_downloads):
    """Leaving cancels the running transfers and closes the source."""
    closed = asyncio.Event()

    async def source():
        try:
            for n in range(1000):
                yield success(server.link(f"{n}"), ticket=Ticket("images", n))
        finally:
            closed.set()

    async with make_downloads(concurrency=2) as downloads:
        stream = downloads.stream(source())
        assert isinstance(await anext(stream), Saved)
        await stream.aclose()

        assert closed.is_set()
        assert {asyncio.current_task(), *server.connections} == asyncio.all_tasks()
    assert len(server.requests) < 100


async def test_known_files_are_not_fetched_again(server, make_downloads):
    """A known file is fetched again only if it changed."""
    async with make_downloads() as downloads:
        files = await downloads.save(success(server.link("0"), server.link("1")))
    files[1].path.write_bytes(b"scribbled over")

    async with make_downloads(known=files) as downloads:
        again = await downloads.save(success(server.link("0"), server.link("1")))

    assert ["/0", "/1", "/1"] == sorted(request.path for request in server.requests)
    assert files[0] == again[0]
    assert "images-1-1.2.png" == again[1].path.name
    assert b"scribbled over" == files[1].path.read_bytes()


async def test_verify_sorts_files_by_their_state(server, make_downloads, folder):
    """Each record is unchanged, changed or missing; the folder may have moved."""
    async with make_downloads() as downloads:
        files = await downloads.save(success(*(server.link(str(n)) for n in range(4))))
    moved = folder.rename(folder.with_name("moved"))
    (moved / files[1].path.name).write_bytes(PNG[:-1] + b"x")
    (moved / files[2].path.name).write_bytes(PNG[:-1])
    (moved / files[3].path.name).unlink()

    result = await verify(moved, files)

    assert (files[:1], files[1:3], files[3:]) == (result.unchanged, result.changed, result.missing)


@pytest.fixture
def open_folder():
    """A folder that all users may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
async def test_file_that_may_not_be_looked_at_is_changed(server, make_downloads, open_folder):
    """The other files are verified all the same. A name that is too long is that of no file."""
    async with make_downloads(to=open_folder) as downloads:
        good, gone = await downloads.save(success(server.link("0"), server.link("1")))
    gone.path.unlink()
    (open_folder / "private").mkdir(mode=0o000)
    denied = evolve(good, n=2, path=open_folder / "private" / "a.png")
    too_long = evolve(good, n=3, path=open_folder / ("a" * 5000))
    with unprivileged_user():
        result = await verify(None, [good, gone, denied, too_long])

    assert ((good,), (denied,)) == (result.unchanged, result.changed)
    assert (gone, too_long) == result.missing
    assert {denied: "Permission denied"} == result.unreadable


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
async def test_save_names_the_file_in_its_place_that_may_not_be_read(
    server, make_downloads, open_folder
):
    """The folder may be written, so another folder would not help."""
    open_folder.chmod(0o777)
    async with make_downloads(to=open_folder) as downloads:
        (file,) = await downloads.save(success(server.link("0")))
        file.path.chmod(0o000)
        with unprivileged_user(), pytest.raises(FileNotWritten) as caught:
            await downloads.save(success(server.link("0")))

    assert caught.value.message == (
        f"{file.path} is there already and cannot be read: Permission denied; let this program "
        "read it, or move it away, then save again"
    )
    assert [file.path] == [*open_folder.glob("*.png")]


async def test_closed_downloads_raise_client_closed(server, make_downloads):
    """A save, a stream and a second `async with` say that the downloads are closed."""
    async with make_downloads() as downloads:
        pass
    with pytest.raises(ClientClosed):
        await downloads.save(success(server.link()))
    with pytest.raises(ClientClosed):
        await anext(downloads.stream([]))
    with pytest.raises(ClientClosed):
        async with downloads:
            pass


async def test_download_saves_one_generation(server, folder):
    """One function saves one generation."""
    (file,) = await download(success(server.link()), to=folder, allow_private=True)

    assert PNG == file.path.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"max_bytes": 0}, {"timeout": 0}, {"link_timeout": -1}],
)
def test_arguments_out_of_range_are_refused(wrong):
    """The error names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Downloads(to="x", **wrong)


def test_http_of_wrong_type_is_refused():
    """A transport of this library is no transport for downloads."""
    with pytest.raises(TypeError, match="AsyncBaseTransport"):
        Downloads(to="x", http=object())


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.03, 0.05, 0.08, 0.12])
async def test_cancellation_at_any_moment_leaves_nothing_open(
    moment, server, make_downloads, folder
):
    """No socket, file or task stays open; only complete files and usable parts are left."""
    server.content = picture(200_000)
    # Without an end, so that no machine is fast enough to save them all.
    many = (success(server.link(f"{n}"), ticket=Ticket("images", n)) for n in count())

    async def run(downloads):
        return [each async for each in downloads.stream(many)]

    async with make_downloads() as downloads:
        task = asyncio.create_task(run(downloads))
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()

    parts = [name for name in names(folder) if not name.endswith(".png")]
    assert sorted(parts) == sorted(
        name for part in parts if part.endswith(".part") for name in (part, f"{part}.json")
    )


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
@pytest.mark.parametrize("kind", ["transport", "client"])
async def test_downloads_go_through_either_package(tmp_path, name, kind):
    """A transport of either package gets a request of its own, and its errors are known."""
    library, seen = pytest.importorskip(name), []

    def answer(request):
        seen.append(request)
        if request.url.path == "/down":
            raise library.ConnectError("refused")
        return library.Response(200, content=PNG)

    transport = library.MockTransport(answer)
    http = transport if kind == "transport" else library.AsyncClient(transport=transport)
    async with Downloads(to=tmp_path, http=http, link_timeout=0) as downloads:
        [file] = await downloads.save(success("https://files.example/a.png?x=%20y"))
        assert PNG == file.path.read_bytes()
        with pytest.raises(TransferFailed, match="ConnectError: refused"):
            await downloads.save(success("https://files.example/down", ticket=Ticket("images", 2)))
    assert isinstance(seen[0], library.Request)
    assert "https://files.example/a.png?x=%20y" == str(seen[0].url)
