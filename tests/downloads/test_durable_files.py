"""Durable files: bytes are synced before they are named, and names after."""

import os
import stat
from pathlib import Path

import pytest

from modelslab_async import Batch, Failed
from modelslab_async._aio.durable_files import (
    atomic_replace,
    fsync_folder,
    make_folder,
    remove_old_drafts,
)
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


def test_draft_replaces_its_file_although_the_program_leaves_its_folder(tmp_path, monkeypatch):
    """A relative path names the file that it named at the start, and no draft stays beside it."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    with atomic_replace(Path("out.csv")) as draft:
        draft.write_text("whole")
        monkeypatch.chdir(tmp_path / "second")
    assert ["first/out.csv"] == [
        str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()
    ]


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


def test_replacements_at_once_are_both_whole(tmp_path):
    """Each writer has a draft of its own, and the last one to end wins."""
    file = tmp_path / "out"
    with atomic_replace(file) as first:
        first.write_text("first, half")
        with atomic_replace(file) as second:
            second.write_text("second, whole")
        assert "second, whole" == file.read_text()
        assert "first, half" == first.read_text()
        first.write_text("first, whole")
    assert "first, whole" == file.read_text()
    assert [file] == list(tmp_path.iterdir())


def test_drafts_of_killed_processes_are_removed_after_a_day(tmp_path):
    """A younger draft may be in use. A draft of another file or of another program stays."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "[out].csv"
    draft = ".[out].csv.0123456789abcdef.draft"
    old, kept = tmp_path / draft, [tmp_path / "folder" / draft]
    kept += [tmp_path / f".[out].csv.{'f' * 16}.draft", tmp_path / ".o.csv.0123456789abcdef.draft"]
    kept += [tmp_path / ".[out].csv.draft", tmp_path / ".[out].csv.mine.draft"]
    for each in (old, *kept):
        each.write_text("half")
    for each in (old, *kept[:1], *kept[2:]):
        os.utime(each, (0, 0))
    remove_old_drafts(file)
    assert sorted(kept) == sorted(each for each in tmp_path.rglob("*") if each.is_file())


def test_draft_that_cannot_be_removed_is_left(monkeypatch, tmp_path):
    """It may belong to another user, or be open on Windows."""
    old = tmp_path / ".out.0123456789abcdef.draft"
    old.write_text("half")
    os.utime(old, (0, 0))

    def refuse(*_any, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_old_drafts(tmp_path / "out")
    assert old.exists()


def test_folder_that_cannot_be_listed_keeps_its_drafts(tmp_path):
    """The writer of the file says what is wrong with the folder."""
    remove_old_drafts(tmp_path / "missing" / "out")


def test_folder_that_cannot_be_opened_is_not_synced(monkeypatch, tmp_path):
    """A folder without read permission is used without a sync."""

    def refuse(*_any):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    fsync_folder(tmp_path)
