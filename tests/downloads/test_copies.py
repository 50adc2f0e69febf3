"""Copies: a file that an earlier run saved in another folder is copied, and not downloaded."""

import asyncio
import hashlib
import threading
from io import BufferedReader
from pathlib import Path

import pytest

from modelslab_async import SavedFile
from modelslab_async._downloads.part_content import copy_saved_file
from modelslab_async._downloads.part_file import PartFile

from .conftest import TICKET, names, picture, success

CHUNK_BYTES = 1 << 20


@pytest.fixture
def known(server, tmp_path):
    """A file of three MiB that an earlier run saved in another folder. The server has it, too."""
    server.content = picture(3 * CHUNK_BYTES)
    path = tmp_path / "earlier" / "images-1-0.png"
    path.parent.mkdir()
    path.write_bytes(server.content)
    return SavedFile(
        ticket=TICKET,
        n=0,
        path=path,
        sha256=hashlib.sha256(server.content).hexdigest(),
        size=len(server.content),
        url=server.link(),
    )


async def record(_file):
    """Stand for a journal."""


async def test_copied_file_needs_no_request(server, known, make_downloads, folder):
    """It has the bytes and the link of the first file."""
    async with make_downloads() as downloads:
        result = await downloads.try_save(success(server.link()), [known], record)

    (file,) = result.files
    assert (folder / "images-1-0.png", known.url) == (file.path, file.url)
    assert (server.content, []) == (file.path.read_bytes(), server.requests)
    assert ["images-1-0.png"] == names(folder)


async def test_cancelled_copy_ends_within_its_chunk(
    server, known, make_downloads, *, folder, monkeypatch
):
    """It counts as a transfer until then, and leaves no part."""
    loop, append, sizes = asyncio.get_running_loop(), PartFile.append, []

    def append_and_cancel(part, data):
        cancelled = threading.Event()
        loop.call_soon_threadsafe(saving.cancel)
        loop.call_soon_threadsafe(cancelled.set)
        assert cancelled.wait(300)
        sizes.append((len(data), downloads._saver.transfer_limit.locked()))
        append(part, data)

    monkeypatch.setattr(PartFile, "append", append_and_cancel)
    async with make_downloads(concurrency=1) as downloads:
        saving = asyncio.create_task(downloads.try_save(success(server.link()), [known], record))
        with pytest.raises(asyncio.CancelledError):
            await saving

    assert [(CHUNK_BYTES, True)] == sizes
    assert [] == names(folder)


def remove(known, _monkeypatch):
    known.path.unlink()


def break_disk(known, monkeypatch):
    class Broken(BufferedReader):
        def read(self, size=-1, /):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size)

    open_ = Path.open

    def open_broken(path, *args, **more):
        return Broken(open_(path, "rb", 0)) if path == known.path else open_(path, *args, **more)

    monkeypatch.setattr(Path, "open", open_broken)


def change(known, _monkeypatch):
    known.path.write_bytes(known.path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("damage", [remove, break_disk, change])
async def test_file_that_cannot_be_copied_is_downloaded(
    damage, server, known, *, make_downloads, folder, monkeypatch
):
    """It was found unchanged, and was damaged before its copy began."""
    expected = server.content

    async def finds_no_change(_file, _path):
        damage(known, monkeypatch)
        return True

    monkeypatch.setattr("modelslab_async._downloads.generation_save.is_unchanged", finds_no_change)
    async with make_downloads() as downloads:
        result = await downloads.try_save(success(server.link()), [known], record)

    (file,) = result.files
    assert (expected, 1) == (file.path.read_bytes(), len(server.requests))
    assert ["images-1-0.png"] == names(folder)


async def test_part_of_a_changed_file_is_empty(known, folder, monkeypatch):
    """None of its bytes counts as a byte that a link has sent."""
    change(known, monkeypatch)
    part = PartFile.open(folder, "images-1-0")

    assert not await copy_saved_file(part, known)
    assert (0, None, b"") == (part.size, part.metadata, part.head(9))
    part.delete()


async def test_full_disk_ends_the_copy(server, known, make_downloads, *, folder, monkeypatch):
    """A download would not fit, either."""

    def fill_up(_part, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartFile, "append", fill_up)
    async with make_downloads() as downloads:
        result = await downloads.try_save(success(server.link()), [known], record)

    assert "make room" in str(result.cause)
    assert ([], []) == (server.requests, names(folder))


async def test_file_stays_where_it_is_without_a_record(server, known, make_downloads, folder):
    """Without `on_saved`, nothing would know the copy."""
    async with make_downloads() as downloads:
        result = await downloads.try_save(success(server.link()), [known])

    assert ((known,), []) == (result.files, server.requests)
    assert [] == names(folder)


async def test_file_in_the_same_folder_is_not_copied(server, known, make_downloads, tmp_path):
    """The folder is recognised even under another name."""
    recorded = []

    async def on_saved(file):
        recorded.append(file)

    (tmp_path / "link").symlink_to(known.path.parent)
    async with make_downloads(to=tmp_path / "link") as downloads:
        result = await downloads.try_save(success(server.link()), [known], on_saved)

    assert ((known,), []) == (result.files, recorded)
    assert ["images-1-0.png"] == names(known.path.parent)
