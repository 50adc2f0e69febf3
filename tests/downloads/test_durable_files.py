"""Lasting: what outlasts a power cut is written, synced, named and synced again, in that order."""

import os
import stat
from pathlib import Path

import pytest

from modelslab_async import Batch, Failed
from modelslab_async._aio.durable_files import atomic_replace, fsync_folder, make_folder
from modelslab_async._journal.tickets import Completion

from .conftest import success


class Deeds:
    """What is asked of the disk, in order: syncs, of files with their sizes, and names."""

    def __init__(self):
        self.seen = []

    def told(self, folder):
        """The deeds, with the names of what is in a folder, and of that itself."""
        names = {path.stat().st_ino: str(path.relative_to(folder)) for path in folder.rglob("*")}
        names[folder.stat().st_ino] = "."
        return [(deed, names.get(what, what), *more) for deed, what, *more in self.seen]


@pytest.fixture
def deeds(monkeypatch):
    deeds = Deeds()
    fsync, hardlink, replace = os.fsync, Path.hardlink_to, Path.replace

    def synced(descriptor):
        fsync(descriptor)
        state = os.fstat(descriptor)
        more = () if stat.S_ISDIR(state.st_mode) else (state.st_size,)
        deeds.seen.append(("sync", state.st_ino, *more))

    def linked(path, target):
        hardlink(path, target)
        deeds.seen.append(("name", path.name))

    def replaced(path, target):
        deeds.seen.append(("name", Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "hardlink_to", linked)
    monkeypatch.setattr(Path, "replace", replaced)
    return deeds


async def test_a_file_is_on_the_disk_before_it_is_on_record(deeds, server, saving, tmp_path):
    """Its folder first, then its bytes, then its name, and only then its record."""
    folder = tmp_path / "new" / "out"

    async def on_saved(file):
        deeds.seen.append(("record", file.path.name))

    async with saving(to=folder) as downloads:
        await downloads.try_save(success(server.link()), on_saved=on_saved)

    assert [
        ("sync", "new"),
        ("sync", "."),
        ("sync", "new/out/images-1-0.png", len(server.content)),
        ("name", "images-1-0.png"),
        ("sync", "new/out"),
        ("record", "images-1-0.png"),
    ] == deeds.told(tmp_path)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_an_export_is_on_the_disk_when_it_has_its_name(deeds, form, tmp_path):
    """All of it is synced before, and the name after."""
    folder = tmp_path / "exports"
    folder.mkdir()
    async with Batch.open(tmp_path / "journal") as batch:
        await batch.add(["images:1"])
        journal = batch.journal
        run = await journal.begin_run(lease=60)
        ((number, ticket),) = (await journal.claim(run, before_run=run, limit=1, lease=60)).tickets
        await journal.complete(run, [Completion(number, 1, Failed(ticket=ticket))])
        await batch.export(file := folder / f"out.{form}")

    assert [
        ("sync", f"out.{form}", file.stat().st_size),
        ("name", f"out.{form}"),
        ("sync", "."),
    ] == deeds.told(folder)


def test_a_folder_that_is_there_is_left_alone(deeds, tmp_path):
    """There is nothing to sync."""
    make_folder(tmp_path)

    assert [] == deeds.seen


def test_a_draft_that_fails_leaves_what_was_there(tmp_path):
    """And nothing beside it."""
    file = tmp_path / "out"
    file.write_text("precious")

    def broken():
        with atomic_replace(file) as draft:
            draft.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert "precious" == file.read_text()
    assert [file] == list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_opened(monkeypatch, tmp_path):
    """Who may make files in it and not list them goes on without a sync."""

    def refuse(*_any):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    fsync_folder(tmp_path)
