"""File descriptors: a download of many outputs opens few parts at a time."""

import asyncio
import errno
import os

import httpx
import pytest
from attrs import evolve

from modelslab_async import Saved, Ticket
from modelslab_async._downloads.file_locks import open_locked
from modelslab_async._downloads.part_file import PartFile

from .conftest import PNG, names, picture, success
from .test_part_file import METADATA, part

NOT_FOUND = (404, {}, b"not yet")


def count_parts(folder):
    return sum(name.endswith(".part") for name in names(folder))


async def test_generation_with_many_outputs_opens_few_parts(folder, make_downloads):
    """At most 64 parts are open beyond those of the transfers, and all files are saved."""
    counts = []

    async def answer(_request):
        # Each open part is a file in the folder. The first transfers go on once all slots are used.
        # There is no event for it.
        async with asyncio.timeout(300):
            while not counts and count_parts(folder) < 66:  # noqa: ASYNC110 -- see above.
                await asyncio.sleep(0.01)
        counts.append(count_parts(folder))
        return httpx.Response(200, content=PNG)

    many = success(*(f"https://files.example/{n}.png" for n in range(300)))
    async with make_downloads(concurrency=2, http=httpx.MockTransport(answer)) as downloads:
        result = await downloads.try_save(many)

    assert isinstance(result, Saved)
    assert (300, 66) == (len(result.files), max(counts))


@pytest.mark.parametrize("kept", [None, 1000], ids=["late link", "cut transfer"])
async def test_output_that_waits_for_a_retry_opens_no_part(
    kept, server, make_downloads, leap, monkeypatch
):
    """Another output is saved meanwhile, though only one part may be open."""
    monkeypatch.setattr("modelslab_async._downloads.link_retries._RETRY_DELAYS_S", (1000.0,))
    server.content = picture(4000)
    server.answers = [NOT_FOUND if kept is None else server.cut(kept)]
    leap(0.0)

    async with make_downloads(link_timeout=9000, timeout=3000) as downloads:
        downloads._saver = evolve(downloads._saver, part_limit=asyncio.Semaphore(1))
        saving = asyncio.create_task(downloads.save(success(server.link("late"))))
        async with asyncio.timeout(300):
            while not server.requests:  # noqa: ASYNC110 -- there is no event for it.
                await asyncio.sleep(0.01)
            await downloads.save(success(server.link("other"), ticket=Ticket("images", 2)))
        leap(1000.0)
        (file,) = await saving

    requested = [(request.path, request.start) for request in server.requests]
    assert [("/late", None), ("/other", None), ("/late", kept)] == requested
    assert server.content == file.path.read_bytes()


async def test_short_response_after_a_retry_is_refused(server, make_downloads, folder):
    """A part without a validator is deleted between rounds, but its announced size still counts."""
    server.content, server.etag = picture(4000), None

    async def cut_unannounced(_request, writer):
        headers = {"content-length": "", "connection": "close"}
        await server.send(writer, 200, headers, server.content, cut=2000)

    server.answers = [server.cut(1000), cut_unannounced]
    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (server.content, 3) == (file.path.read_bytes(), len(server.requests))
    assert [file.path.name] == names(folder)


def test_reopened_part_has_its_bytes(folder):
    """It is continued where it ended."""
    reopened = part(folder)
    reopened.close()
    reopened.reopen()

    assert (METADATA, 4, b"data") == (reopened.metadata, reopened.size, reopened.head(9))
    reopened.delete()
    assert [] == names(folder)


def test_part_that_another_process_uses_is_not_reopened(folder):
    """The owner of the closed part gets another part, with no byte of the first."""
    reopened = part(folder)
    reopened.close()
    other = PartFile.open(folder, "a-1-0")
    reopened.reopen()

    assert 0 == reopened.size
    reopened.append(b"else")
    assert b"data" == other.head(9)
    reopened.delete()
    other.delete()
    assert [] == names(folder)


@pytest.mark.parametrize("is_reopened", [True, False])
def test_part_that_cannot_be_checked_is_closed(is_reopened, folder, monkeypatch):
    """An error while it is opened leaves no descriptor and no lock, even if the error is kept."""

    def fail(_part):
        raise OSError(errno.EIO, "Input/output error")

    # A complete part with another hard link is read back when it is opened.
    made = part(folder, metadata=evolve(METADATA, sha256="0" * 64))
    made.close()
    os.link(folder / "a-1-0.part", folder / "backup")
    monkeypatch.setattr(PartFile, "digest", fail)

    with pytest.raises(OSError, match="Input/output error") as caught:
        made.reopen() if is_reopened else PartFile.open(folder, "a-1-0")

    file = open_locked(folder / "a-1-0.part")
    assert file is not None
    assert caught.value.errno == errno.EIO
    file.close()


def test_reopened_part_keeps_its_name(folder):
    """A part that another writer has deleted meanwhile is not used in its place."""
    first, second = part(folder), part(folder, b"else")
    second.close()
    first.delete()
    second.reopen()

    assert b"else" == second.head(9)
    second.delete()
    assert [] == names(folder)
