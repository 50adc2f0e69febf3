"""Durable files: bytes are synced before they are named, and names after."""

import os
import stat
from pathlib import Path

import pytest

from modelslab_async import Batch, Failed
from modelslab_async._aio.durable_files import atomic_replace, fsync_folder, make_folder
from modelslab_async._journal.tickets import OutcomeRow

from .conftest import success


class DiskCalls:
    """The calls to the disk, in order: syncs, with the sizes of files, and new names."""

    def __init__(self):
        self.seen = []

    def by_name(self, folder):
        """The calls, with names in place of inodes for a folder and what is in it."""
        names = {path.stat().st_ino: str(path.relative_to(folder)) for path in folder.rglob("*")}
        names[folder.stat().st_ino] = "."
        return [(call, names.get(what, what), *more) for call, what, *more in self.seen]


@pytest.fixture
def disk_calls(monkeypatch):
    disk_calls = DiskCalls()
    fsync, hardlink, replace = os.fsync, Path.hardlink_to, Path.replace

    def synced(descriptor):
        fsync(descriptor)
        state = os.fstat(descriptor)
        more = () if stat.S_ISDIR(state.st_mode) else (state.st_size,)
        disk_calls.seen.append(("sync", state.st_ino, *more))

    def linked(path, target):
        hardlink(path, target)
        disk_calls.seen.append(("name", path.name))

    def replaced(path, target):
        disk_calls.seen.append(("name", Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "hardlink_to", linked)
    monkeypatch.setattr(Path, "replace", replaced)
    return disk_calls


async def test_file_is_synced_before_it_is_recorded(disk_calls, server, make_downloads, tmp_path):
    """Folder, bytes, name and record follow in this order."""
    folder = tmp_path / "new" / "out"

    async def on_saved(file):
        disk_calls.seen.append(("record", file.path.name))

    async with make_downloads(to=folder) as downloads:
        await downloads.try_save(success(server.link()), on_saved=on_saved)

    assert [
        ("sync", "new"),
        ("sync", "."),
        ("sync", "new/out/images-1-0.png", len(server.content)),
        ("name", "images-1-0.png"),
        ("sync", "new/out"),
        ("record", "images-1-0.png"),
    ] == disk_calls.by_name(tmp_path)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_export_is_synced_before_it_is_named(disk_calls, form, tmp_path):
    """The bytes are synced before the name, and the folder after it."""
    folder = tmp_path / "exports"
    folder.mkdir()
    async with Batch.open(tmp_path / "journal") as batch:
        await batch.add(["images:1"])
        journal = batch.journal
        run = await journal.leases.begin_run(lease=60)
        ((number, ticket),) = (
            await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        ).tickets
        await journal.leases.complete(run, [OutcomeRow(number, 1, Failed(ticket=ticket))])
        await batch.export(file := folder / f"out.{form}")

    assert [
        ("sync", f"out.{form}", file.stat().st_size),
        ("name", f"out.{form}"),
        ("sync", "."),
    ] == disk_calls.by_name(folder)


def test_existing_folder_is_not_synced(disk_calls, tmp_path):
    """An existing folder needs no sync."""
    make_folder(tmp_path)

    assert [] == disk_calls.seen


def test_failed_draft_leaves_the_old_file(tmp_path):
    """No draft stays beside it."""
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


def test_folder_that_cannot_be_opened_is_not_synced(monkeypatch, tmp_path):
    """A folder without read permission is used without a sync."""

    def refuse(*_any):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    fsync_folder(tmp_path)
