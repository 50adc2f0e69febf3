"""Part files: half a file never has the final name, and no existing file is overwritten."""

import asyncio
import errno
import hashlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest

from modelslab_async import FileNotWritten, JournalFull, Saved
from modelslab_async._downloads import file_sha256_check, publish
from modelslab_async._downloads.download_error_translation import write_error
from modelslab_async._downloads.file_locks import open_locked
from modelslab_async._downloads.part_file import PartFile
from modelslab_async._downloads.part_folder import DiskFolder, part_stems, remove_stale
from modelslab_async._downloads.part_metadata import PartMetadata

from .conftest import names, picture, success

METADATA = PartMetadata("https://x.test/0", '"v1"', 4)


def _plant_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket has at most 107 characters.
        short = Path(tempfile.mkdtemp()) / "s"
        server.bind(str(short))
        short.rename(path)


def _plant_link(path):
    path.symlink_to("/dev/zero")


def part(folder, content=b"data", *, metadata=METADATA, stem="a-1-0"):
    made = PartFile.open(folder, stem)
    made.restart(metadata)
    made.append(content)
    return made


def published(made, suffix="bin"):
    path = made.publish(suffix).path
    made.delete()
    return path


def test_part_is_continued_where_it_ended(folder):
    """Its metadata comes back too, so the server can be asked for the same version."""
    part(folder).close()

    again = PartFile.open(folder, "a-1-0")

    assert (4, METADATA, True) == (again.size, again.metadata, again.is_complete)
    again.delete()
    assert [] == names(folder)


@pytest.mark.parametrize("note", ["", "null", '{"url": 1}', '{"url": "x", "validator": "y'])
def test_part_with_broken_metadata_is_not_continued(note, folder):
    """Without a known version, no bytes are joined."""
    part(folder).close()
    (folder / "a-1-0.part.json").write_text(note)

    again = PartFile.open(folder, "a-1-0")

    assert again.metadata is None
    again.delete()


def test_second_writer_gets_its_own_part(folder):
    """The second uses another name; both become the same file."""
    first, second = part(folder), part(folder)

    assert ["a-1-0.2.part", "a-1-0.2.part.json", "a-1-0.part", "a-1-0.part.json"] == names(folder)
    assert folder / "a-1-0.bin" == published(first) == published(second)
    assert ["a-1-0.bin"] == names(folder)


def test_existing_files_are_not_overwritten(folder):
    """The next free number is used, and existing files are not touched."""
    folder.mkdir()
    (folder / "a-1-0.bin").write_bytes(b"mine")
    (folder / "a-1-0.2.bin").symlink_to(folder / "nowhere")
    (folder / "a-1-0.3.bin").mkdir()

    assert folder / "a-1-0.4.bin" == published(part(folder))
    assert b"mine" == (folder / "a-1-0.bin").read_bytes()
    assert not (folder / "nowhere").exists()


def test_publish_without_hard_links_respects_taken_names(folder, monkeypatch):
    """The name is reserved first and then filled."""
    without_hard_links(monkeypatch)

    first = published(part(folder, b"one"))
    second = published(part(folder, b"two"))

    assert (b"one", b"two") == (first.read_bytes(), second.read_bytes())
    assert ["a-1-0.2.bin", "a-1-0.bin"] == names(folder)


def test_publish_waits_for_the_process_that_reserved_the_name(folder, monkeypatch):
    """Without hard links, the second finds the first's file complete, and makes no second one."""
    without_hard_links(monkeypatch)
    first, second = part(folder), part(folder)
    replace, goes_on, paths = Path.replace, threading.Event(), []

    def publish_second():
        paths.append(published(second))
        goes_on.set()

    def replace_late(*paths):
        # The first has reserved the name. It fills it once the second waits, or has ended.
        monkeypatch.setattr(Path, "replace", replace)
        other.start()
        assert goes_on.wait(300)
        return replace(*paths)

    other = threading.Thread(target=publish_second)
    monkeypatch.setattr(Path, "replace", replace_late)
    monkeypatch.setattr("time.sleep", lambda _seconds: goes_on.set())
    monkeypatch.setattr(publish, "_MAX_LOCK_WAIT_S", math.inf)
    paths.append(published(first))
    other.join()

    assert [folder / "a-1-0.bin"] * 2 == paths
    assert ["a-1-0.bin"] == names(folder)


def test_name_whose_lock_is_never_released_is_passed_over(folder, monkeypatch):
    """Without hard links, the next free name is used, so the save ends."""
    without_hard_links(monkeypatch)
    monkeypatch.setattr(publish, "_MAX_LOCK_WAIT_S", 0.0)
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("still waits for the lock"))
    made = part(folder)

    with open_locked(folder / "a-1-0.bin"):
        assert folder / "a-1-0.2.bin" == published(made)

    assert b"" == (folder / "a-1-0.bin").read_bytes()
    assert b"data" == (folder / "a-1-0.2.bin").read_bytes()


def test_name_that_a_killed_process_reserved_is_used(folder, monkeypatch):
    """Without hard links, an empty file is what it leaves, because no complete file is empty."""
    without_hard_links(monkeypatch)
    folder.mkdir()
    (folder / "a-1-0.bin").touch()

    assert folder / "a-1-0.bin" == published(part(folder))
    assert ["a-1-0.bin"] == names(folder)


def test_failed_publish_leaves_no_empty_file(folder, monkeypatch):
    """If the reserved name cannot be filled, it is removed."""

    def refuse(*_any):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    made = part(folder)

    with pytest.raises(PermissionError):
        published(made)

    assert "a-1-0.bin" not in names(folder)
    made.close()


def without_hard_links(monkeypatch):
    def refuse(*_any):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)


@pytest.fixture(params=["hard links", "no hard links"])
def links(request, monkeypatch):
    """A file system with or without hard links."""
    if request.param == "no hard links":
        without_hard_links(monkeypatch)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("etag", ['"v1"', None])
async def test_unrecorded_file_is_found_by_next_run(server, make_downloads, folder, etag):
    """The file is found and recorded without a request, since its link may be dead by then."""
    server.etag = etag

    async def killed(_file):
        raise JournalFull("no room")

    async with make_downloads() as downloads:
        with pytest.raises(ExceptionGroup):
            await downloads.try_save(success(server.link()), on_saved=killed)
    server.answers = [(404, {}, b"gone")] * 9
    recorded = []

    async def on_saved(file):
        recorded.append(file)

    async with make_downloads(link_timeout=0) as downloads:
        result = await downloads.try_save(success(server.link() + "?sig=new"), on_saved=on_saved)

    assert 1 == len(server.requests)
    (file,) = recorded
    assert (file,) == result.files
    assert (folder / "images-1-0.png", server.link()) == (file.path, file.url)
    assert hashlib.sha256(server.content).hexdigest() == file.sha256
    assert ["images-1-0.png"] == names(folder)


@pytest.mark.usefixtures("links")
async def test_changed_unrecorded_file_is_fetched_again(server, make_downloads, folder):
    """The changed file is not the result, and stays as it is."""
    made = part(
        folder, server.content, metadata=PartMetadata(server.link(), '"v1"', 1), stem="images-1-0"
    )
    made.publish("png")
    made.close()
    with (folder / "images-1-0.png").open("r+b") as file:
        file.write(b"mine")

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (folder / "images-1-0.2.png", 1) == (file.path, len(server.requests))
    assert (folder / "images-1-0.png").read_bytes().startswith(b"mine")
    assert ["images-1-0.2.png", "images-1-0.png"] == names(folder)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("is_kept", [True, False])
def test_part_of_another_process_is_not_found_as_file(folder, is_kept):
    """The next run finds the file, and never the part of the same bytes, which is removed later."""
    first, second = part(folder), part(folder)
    file = first.publish("bin").path
    first.close()
    (folder / "a-1-0.part").unlink(missing_ok=True)
    if not is_kept:
        file.unlink()

    again = PartFile.open(folder, "a-1-0")

    assert (file if is_kept else None) == (again.published and again.published.path)
    again.delete()
    second.delete()


@pytest.mark.usefixtures("links")
def test_file_beside_an_unrecorded_one_may_be_unreadable(folder, monkeypatch):
    """Only its name is like that of the output, and the unrecorded file is found all the same."""
    made = part(folder)
    file = made.publish("bin").path
    made.close()
    (folder / "a-1-0.part").unlink(missing_ok=True)
    (folder / "a-1-0.bak").write_bytes(b"data")

    def digest_unless_denied(opened, name):
        if opened.name.endswith(".bak"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return hashlib.file_digest(opened, name)

    monkeypatch.setattr(file_sha256_check, "file_digest", digest_unless_denied)
    again = PartFile.open(folder, "a-1-0")

    assert file == (again.published and again.published.path)
    again.delete()


def test_hard_linked_part_is_not_written(folder):
    """A part in a hard-linked backup stays what it was; the file is fetched again."""
    part(folder, b"da").close()
    os.link(folder / "a-1-0.part", folder / "backup")

    again = PartFile.open(folder, "a-1-0")
    again.restart(METADATA)
    again.append(b"other")

    assert b"da" == (folder / "backup").read_bytes()
    again.delete()
    assert ["backup"] == names(folder)


def test_restarted_complete_part_leaves_the_file(folder):
    """The part and the published file share their bytes, which are not written."""
    made = part(folder)
    made.publish("bin")
    made.close()

    again = PartFile.open(folder, "a-1-0")
    assert again.is_complete
    again.restart(METADATA)
    again.append(b"other")

    assert b"data" == (folder / "a-1-0.bin").read_bytes()
    again.delete()


@pytest.fixture
def locked(folder):
    """A complete part that its process has locked, and one behind it that shares its bytes too."""
    first, second = part(folder, b"data"), part(folder, b"more")
    first.publish("bin")
    second.publish("bin")
    second.close()
    return first


def test_restart_in_another_complete_part_leaves_its_file(folder, locked):
    """A process ends while its part is locked, and the restart gets this part."""
    again = PartFile.open(folder, "a-1-0")
    locked.close()
    again.restart(METADATA)
    again.append(b"other")

    assert b"data" == (folder / "a-1-0.bin").read_bytes()
    assert b"more" == (folder / "a-1-0.2.bin").read_bytes()
    again.delete()
    assert ["a-1-0.2.bin", "a-1-0.bin"] == names(folder)


def test_open_after_two_damaged_parts_gets_an_empty_one(folder, locked, monkeypatch):
    """A part that is freed while a damaged one is removed is checked as well."""
    for name in ["a-1-0.bin", "a-1-0.2.bin"]:
        (folder / name).write_bytes(b"mine")
    is_intact = PartFile._is_intact

    def release_and_check(made):
        locked.close()
        return is_intact(made)

    monkeypatch.setattr(PartFile, "_is_intact", release_and_check)
    again = PartFile.open(folder, "a-1-0")

    assert (0, None) == (again.size, again.metadata)
    again.append(b"other")
    assert b"mine" == (folder / "a-1-0.bin").read_bytes()
    again.delete()


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("content", [b"data", b"other"])
def test_part_between_publish_and_delete_is_not_shared(folder, content):
    """A second writer gets a part of its own, and the first one's delete removes no byte of it."""
    first = part(folder)
    named = first.publish("bin").path
    second = part(folder, content)
    first.delete()

    assert content == second.publish("bin").path.read_bytes()
    second.delete()
    assert b"data" == named.read_bytes()
    left = {"a-1-0.bin"} if content == b"data" else {"a-1-0.bin", "a-1-0.2.bin"}
    assert left == set(names(folder))


def test_stale_parts_are_removed_unless_locked(folder, monkeypatch):
    """The parts and metadata of one stem are removed, also the metadata of a moved part."""
    without_hard_links(monkeypatch)
    made = part(folder)
    made.publish("bin")
    made.close()
    part(folder, stem="a-1-1").close()
    locked = part(folder)

    assert {"a-1-0", "a-1-1"} == part_stems(folder)
    remove_stale(folder, "a-1-0")

    assert ["a-1-0.bin", "a-1-0.part", "a-1-0.part.json", "a-1-1.part", "a-1-1.part.json"] == names(
        folder
    )
    locked.delete()
    remove_stale(folder, "a-1-0")
    remove_stale(folder, "a-1-1")
    assert ["a-1-0.bin"] == names(folder)


@pytest.mark.parametrize("number", [1, 2])
def test_saved_output_keeps_the_parts_that_others_write(folder, number):
    """A part that no process has locked was left by a cut download, and is removed."""
    made = [part(folder) for _ in range(4)]
    saved, cut = made[number - 1], made[2]
    saved.publish("bin")
    cut.close()
    DiskFolder(folder).finish(saved)
    left = {path.name for path in folder.glob("*.part")}
    assert {f"a-1-0{'.2' if number == 1 else ''}.part", "a-1-0.4.part"} == left
    for each in made:
        each.close()


def test_planted_symlink_is_not_followed(folder):
    """A part is never opened through a symlink."""
    folder.mkdir()
    (folder / "a-1-0.part").symlink_to(folder / "precious")
    (folder / "precious").write_bytes(b"precious")

    with pytest.raises(OSError, match="symbolic"):
        PartFile.open(folder, "a-1-0")

    assert b"precious" == (folder / "precious").read_bytes()


@pytest.mark.parametrize("note", ["[" * 100_000, '{"a":' * 100_000, " " * (2 << 20), "\0", "NaN"])
def test_planted_metadata_counts_as_none(note, folder):
    """Text that breaks or floods a parser is not metadata, so the file is fetched again."""
    part(folder).close()
    (folder / "a-1-0.part.json").write_text(note)

    again = PartFile.open(folder, "a-1-0")

    assert again.metadata is None
    again.delete()


@pytest.mark.parametrize("name", ["images-1-0.part", "images-1-0.part.json", "images-1-0.png"])
@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, _plant_socket, _plant_link])
async def test_planted_special_file_never_blocks(name, plant, server, make_downloads, folder):
    """The output is saved beside it, or the error says that the file cannot be written."""
    folder.mkdir()
    plant(folder / name)

    async with asyncio.timeout(300), make_downloads() as downloads:
        result = await downloads.try_save(success(server.link()))
        remove_stale(folder, "images-1-0")

    if isinstance(result, Saved):
        assert server.content == result.files[0].path.read_bytes()
    else:
        assert isinstance(result.cause, FileNotWritten)


def test_part_published_during_open_is_not_reused(folder, monkeypatch):
    """A writer that gets the lock of a moved file opens a new part."""
    first = part(folder)

    def late(_descriptor):
        monkeypatch.undo()
        assert folder / "a-1-0.bin" == published(first)
        return True

    monkeypatch.setattr("modelslab_async._downloads.file_locks.try_lock", late)
    second = part(folder, b"other")

    assert b"data" == (folder / "a-1-0.bin").read_bytes()
    assert folder / "a-1-0.2.bin" == published(second)
    assert ["a-1-0.2.bin", "a-1-0.bin"] == names(folder)


def test_publish_works_without_locks(folder, monkeypatch):
    """A file system without locks is used without them."""

    def refuse(*_any):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert folder / "a-1-0.bin" == published(part(folder))


async def test_saving_again_makes_no_second_file(server, make_downloads, folder):
    """The existing file has the same bytes, so it is the result."""
    async with make_downloads() as downloads:
        first = await downloads.save(success(server.link()))
        second = await downloads.save(success(server.link()))

    assert first == second
    assert ["images-1-0.png"] == names(folder)


async def test_concurrent_saves_of_one_ticket_share_the_file(server, make_downloads, folder):
    """All of them return the same file."""
    server.content = picture(100_000)
    async with make_downloads() as downloads:
        results = await asyncio.gather(*(downloads.save(success(server.link())) for _ in range(4)))

    assert 1 == len(set(results))
    assert ["images-1-0.png"] == names(folder)


async def test_folder_that_cannot_be_made_is_reported(server, make_downloads, folder):
    """The error says what to do."""
    folder.write_text("in the way")
    async with make_downloads() as downloads:
        with pytest.raises(FileNotWritten, match="another folder"):
            await downloads.save(success(server.link()))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "; make room or choose another folder, then"),
        (errno.EACCES, "; choose a folder that this program may write to, then"),
        (
            errno.EMFILE,
            "; raise the limit of open files (`ulimit -n`), or lower `concurrency`, then",
        ),
        (
            errno.ENFILE,
            "; raise the limit of open files (`ulimit -n`), or lower `concurrency`, then",
        ),
        (errno.ENOENT, "; choose another folder, then"),
        (None, "; choose another folder, then"),
    ],
)
def test_advice_fits_the_errno(number, advice):
    """Only a full disk asks for room."""
    fault = OSError("odd") if number is None else OSError(number, os.strerror(number))
    assert advice in str(write_error(fault))


PROGRAM = """
    import asyncio, resource, sys
    from modelslab_async import Downloads, DownloadError, Success, Ticket

    async def main(to, link, most):
        if most:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
        result = Success(ticket=Ticket("images", 1), output=(link,))
        async with Downloads(to=to, allow_private=True) as downloads:
            try:
                for file in await downloads.save(result):
                    print(file.sha256)
            except DownloadError as fault:
                print(type(fault).__name__, fault)

    asyncio.run(main(*sys.argv[1:]))
"""


def program(folder, link, most=""):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), link, most],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


async def output_of(process):
    result, _ = await asyncio.to_thread(process.communicate, timeout=300)
    return result.strip()


@pytest.mark.parametrize(
    "damage",
    [{"size": 3}, {"size": -1}, {"size": True}, {"validator": '"a\u00e9"'}, {"validator": "a\nb"}],
    ids=str,
)
def test_damaged_metadata_of_a_part_is_not_used(folder, damage):
    """The file is fetched again, instead of compared with what cannot be."""
    part = PartFile.open(folder, "images-1-0")
    part.restart(METADATA)
    part.append(b"1234")
    part.close()
    described = folder / "images-1-0.part.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | damage))

    again = PartFile.open(folder, "images-1-0")
    assert again.metadata is None
    again.close()


async def test_full_disk_keeps_the_part(server, folder):
    """The error says so, no file has the final name, and the part can be continued."""
    server.content = picture(3 << 20)

    result = await output_of(program(folder, server.link(), str(2 << 20)))
    assert result.startswith("FileNotWritten images:1: the file cannot be written")
    assert ["images-1-0.part", "images-1-0.part.json"] == names(folder)
    assert 2 << 20 == (folder / "images-1-0.part").stat().st_size

    result = await output_of(program(folder, server.link()))
    assert hashlib.sha256(server.content).hexdigest() == result
    assert 2 << 20 == server.requests[-1].start
    assert ["images-1-0.png"] == names(folder)


async def test_part_of_killed_program_is_continued(server, folder):
    """The next run continues the part, and the file is complete."""
    server.content = picture(3 << 20)
    server.answers = [server.stalled(5 << 19)]
    part_path = folder / "images-1-0.part"

    process = program(folder, server.link())
    while not part_path.exists() or part_path.stat().st_size < 2 << 20:
        await asyncio.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    await output_of(process)
    kept_size = part_path.stat().st_size
    result = await output_of(program(folder, server.link()))

    assert hashlib.sha256(server.content).hexdigest() == result
    assert kept_size == server.requests[-1].start
    assert ["images-1-0.png"] == names(folder)
