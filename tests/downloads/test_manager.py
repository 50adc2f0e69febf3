"""Batches: many outcomes become files as they come, and records tell later what became of them."""

import asyncio
import gc

import httpx
import pytest

from modelslab_async import (
    Client,
    ClientClosed,
    Downloads,
    Failed,
    LinkGone,
    Saved,
    Ticket,
    Unresolved,
    Unsaved,
    Unsubmitted,
    WaitTimeout,
    download,
    verify,
)
from modelslab_async.emulator import Emulator, Jobs

from .conftest import PNG, names, picture, success


def tickets(count):
    return [Ticket("images", n) for n in range(count)]


async def test_a_batch_is_saved_as_it_comes(tmp_path):
    """Failures and unresolved tickets go by as they are, and every success has its files."""
    emulator = Emulator()
    good = [emulator.add_job(ticket, duration=0) for ticket in tickets(20)]
    bad = emulator.add_job("images:bad", duration=0, fails=True)
    wire = httpx.ASGITransport(app=emulator)

    async with (
        Client("any-key", base_url="http://e.test/api", http=wire) as client,
        Downloads(client, to=tmp_path, http=wire, allow_private=True) as downloads,
    ):
        ended = [each async for each in downloads.stream(client.stream([*good, bad]))]

    saved = [each for each in ended if isinstance(each, Saved)]
    assert {*good} == {each.ticket for each in saved}
    assert [bad] == [each.ticket for each in ended if isinstance(each, Failed)]
    assert 20 == len(names(tmp_path))
    for each in saved:
        assert each.success.output[0] == each.files[0].url


async def test_what_cannot_be_saved_is_a_value(server, saving):
    """One bad link ends nothing but itself."""
    server.at_path["dead"] = (410, {}, b"")
    outcomes = [
        success(server.link("0"), server.link("dead/1"), ticket=Ticket("images", 1)),
        success(server.link("0"), ticket=Ticket("images", 2)),
        Unresolved(ticket=Ticket("images", 3), cause=WaitTimeout("late")),
        success(ticket=Ticket("images", 4)),
    ]

    async with saving(link_timeout=0) as downloads:
        ended = {each.ticket.id: each async for each in downloads.stream(outcomes)}

    assert [Unsaved, Saved, Unresolved, Saved] == [type(ended[id_]) for id_ in "1234"]
    assert isinstance(ended["1"].cause, LinkGone)
    assert (1, 0) == (len(ended["1"].files), len(ended["4"].files))


async def test_a_source_that_breaks_costs_nothing_before_it(server, saving):
    """What it raises comes last."""

    async def source():
        yield success(server.link())
        raise RuntimeError("the source broke")

    async with saving() as downloads:
        stream = downloads.stream(source())
        assert isinstance(await anext(stream), Saved)
        with pytest.raises(RuntimeError, match="the source broke"):
            await anext(stream)


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        ((("realtime/text2img", {}), success()), "outcome async for _, outcome in client.generate"),
        ("images:1", "client.stream"),
    ],
)
async def test_what_is_no_outcome_is_refused(server, saving, wrong, instead):
    """It says what was expected, what came and what to write; what came before it is saved."""
    async with saving() as downloads:
        stream = downloads.stream([success(server.link()), wrong])
        assert isinstance(await anext(stream), Saved)
        with pytest.raises(TypeError, match=f"got a {type(wrong).__name__}; .*{instead}"):
            await anext(stream)


async def test_many_generations_are_saved_as_they_come(tmp_path):
    """The outcomes of generate_many go in as they are: what never had a ticket goes by."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), keys=["a-key"])
    wire = httpx.ASGITransport(app=emulator)
    requests = [("realtime/text2img", {"prompt": f"lighthouse {n}"}) for n in range(3)]

    async def kinds(key):
        async with (
            Client(key, base_url="http://e.test/api", http=wire) as client,
            Downloads(client, to=tmp_path, http=wire, allow_private=True) as downloads,
        ):
            generated = client.generate_many(requests)
            outcomes = (outcome async for _, outcome in generated)
            return [type(each) async for each in downloads.stream(outcomes)]

    assert [Saved] * 3 == await kinds("a-key")
    assert [Unsubmitted] * 3 == await kinds("another-key")
    assert 3 == len(names(tmp_path))


async def test_a_batch_that_is_left_early(server, saving):
    """Leaving cancels what is on its way, closes the source and leaves no task behind."""
    closed = asyncio.Event()

    async def source():
        try:
            for n in range(1000):
                yield success(server.link(f"{n}"), ticket=Ticket("images", n))
        finally:
            closed.set()

    async with saving(concurrency=2) as downloads:
        stream = downloads.stream(source())
        assert isinstance(await anext(stream), Saved)
        await stream.aclose()

        assert closed.is_set()
        assert {asyncio.current_task(), *server._talks} == asyncio.all_tasks()
    assert len(server.asked) < 100


async def test_known_files_are_not_asked_for_again(server, saving):
    """Unless they changed since."""
    async with saving() as downloads:
        files = await downloads.save(success(server.link("0"), server.link("1")))
    files[1].path.write_bytes(b"scribbled over")

    async with saving(known=files) as downloads:
        again = await downloads.save(success(server.link("0"), server.link("1")))

    assert ["/0", "/1", "/1"] == sorted(asked.path for asked in server.asked)
    assert files[0] == again[0]
    assert "images-1-1.2.png" == again[1].path.name
    assert b"scribbled over" == files[1].path.read_bytes()


async def test_a_folder_is_verified(server, saving, folder):
    """Each record is fine, changed or missing; the folder may have moved."""
    async with saving() as downloads:
        files = await downloads.save(success(*(server.link(str(n)) for n in range(4))))
    moved = folder.rename(folder.with_name("moved"))
    (moved / files[1].path.name).write_bytes(PNG[:-1] + b"x")
    (moved / files[2].path.name).write_bytes(PNG[:-1])
    (moved / files[3].path.name).unlink()

    result = await verify(moved, files)

    assert (files[:1], files[1:3], files[3:]) == (result.unchanged, result.changed, result.missing)


async def test_after_the_end(server, saving):
    """Closed downloads say so."""
    async with saving() as downloads:
        pass
    with pytest.raises(ClientClosed):
        await downloads.save(success(server.link()))
    with pytest.raises(ClientClosed):
        await anext(downloads.stream([]))


async def test_the_short_way(server, folder):
    """One function for one generation."""
    (file,) = await download(success(server.link()), to=folder, allow_private=True)

    assert PNG == file.path.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"max_bytes": 0}, {"timeout": 0}, {"link_timeout": -1}],
)
def test_arguments_out_of_range(wrong):
    """They are refused at once, with what they may be."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Downloads(to="x", **wrong)


def test_an_http_that_is_none():
    """The seam of looks is no seam for downloads."""
    with pytest.raises(TypeError, match="AsyncBaseTransport"):
        Downloads(to="x", http=object())


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.03, 0.05, 0.08, 0.12])
async def test_wherever_it_is_cancelled_nothing_is_left_open(moment, server, saving, folder):
    """No socket, no file, no task; only whole files and parts that can be gone on with."""
    server.content = picture(200_000)
    many = [success(server.link(f"{n}"), ticket=Ticket("images", n)) for n in range(60)]

    async def run(downloads):
        return [each async for each in downloads.stream(many)]

    async with saving() as downloads:
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
