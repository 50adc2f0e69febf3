"""Parts: half a file is never seen under a whole file's name, and nobody's file is overwritten."""

import asyncio
import errno
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from modelslab_async import FileNotWritten, JournalFull, Saved
from modelslab_async._downloads.error_translation import write_error
from modelslab_async._downloads.part_file import PartFile
from modelslab_async._downloads.part_metadata import PartMetadata
from modelslab_async._downloads.stale_parts import part_stems, remove_stale

from .conftest import names, picture, success

MARK = PartMetadata("https://x.test/0", '"v1"', 4)


def _plant_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket has at most 107 characters.
        short = Path(tempfile.mkdtemp()) / "s"
        server.bind(str(short))
        short.rename(path)


def _plant_link(path):
    path.symlink_to("/dev/zero")


def part(folder, content=b"data", *, mark=MARK, stem="a-1-0"):
    made = PartFile.open(folder, stem)
    made.restart(mark)
    made.append(content)
    return made


def published(made, suffix="bin"):
    path = made.publish(suffix).path
    made.delete()
    return path


def test_a_part_is_taken_up_where_it_was_left(folder):
    """With its mark, so that the server can be asked for the rest of the same version."""
    part(folder).close()

    again = PartFile.open(folder, "a-1-0")

    assert (4, MARK, True) == (again.size, again.metadata, again.is_complete)
    again.delete()
    assert [] == names(folder)


@pytest.mark.parametrize("note", ["", "null", '{"url": 1}', '{"url": "x", "validator": "y'])
def test_a_part_whose_mark_is_broken_is_nobodys(note, folder):
    """Without knowing the version nothing is joined."""
    part(folder).close()
    (folder / "a-1-0.part.json").write_text(note)

    again = PartFile.open(folder, "a-1-0")

    assert again.metadata is None
    again.delete()


def test_two_do_not_write_one_part(folder):
    """The second takes another name; both become the same file."""
    first, second = part(folder), part(folder)

    assert ["a-1-0.2.part", "a-1-0.2.part.json", "a-1-0.part", "a-1-0.part.json"] == names(folder)
    assert folder / "a-1-0.bin" == published(first) == published(second)
    assert ["a-1-0.bin"] == names(folder)


def test_another_file_of_that_name_stays(folder):
    """The next number is taken, and what was there is not touched."""
    folder.mkdir()
    (folder / "a-1-0.bin").write_bytes(b"mine")
    (folder / "a-1-0.2.bin").symlink_to(folder / "nowhere")
    (folder / "a-1-0.3.bin").mkdir()

    assert folder / "a-1-0.4.bin" == published(part(folder))
    assert b"mine" == (folder / "a-1-0.bin").read_bytes()
    assert not (folder / "nowhere").exists()


def test_a_file_system_without_hard_links(folder, monkeypatch):
    """The name is taken first and then filled; a taken name is still respected."""
    without_hard_links(monkeypatch)

    first = published(part(folder, b"one"))
    second = published(part(folder, b"two"))

    assert (b"one", b"two") == (first.read_bytes(), second.read_bytes())
    assert ["a-1-0.2.bin", "a-1-0.bin"] == names(folder)


def test_a_name_that_was_taken_is_given_back(folder, monkeypatch):
    """Where filling it fails, no empty file is left."""

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
    """The file system that a test is on."""
    if request.param == "no hard links":
        without_hard_links(monkeypatch)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("etag", ['"v1"', None])
async def test_a_run_that_ended_before_its_file_was_on_record(server, saving, folder, etag):
    """The file is found and told, and nothing is asked of a server that may have it no more."""
    server.etag = etag

    async def killed(_file):
        raise JournalFull("no room")

    async with saving() as downloads:
        with pytest.raises(ExceptionGroup):
            await downloads.try_save(success(server.link()), on_saved=killed)
    server.answers = [(404, {}, b"gone")] * 9
    kept = []

    async def on_saved(file):
        kept.append(file)

    async with saving(link_timeout=0) as downloads:
        told = await downloads.try_save(success(server.link() + "?sig=new"), on_saved=on_saved)

    assert 1 == len(server.asked)
    (file,) = kept
    assert (file,) == told.files
    assert (folder / "images-1-0.png", server.link()) == (file.path, file.url)
    assert hashlib.sha256(server.content).hexdigest() == file.sha256
    assert ["images-1-0.png"] == names(folder)


@pytest.mark.usefixtures("links")
async def test_a_file_that_was_changed_before_it_was_on_record(server, saving, folder):
    """It is not told as the result; that is got anew, and the changed file stays as it is."""
    made = part(
        folder, server.content, mark=PartMetadata(server.link(), '"v1"', 1), stem="images-1-0"
    )
    made.publish("png")
    made.close()
    with (folder / "images-1-0.png").open("r+b") as file:
        file.write(b"mine")

    async with saving() as downloads:
        (file,) = await downloads.save(success(server.link()))

    assert (folder / "images-1-0.2.png", 1) == (file.path, len(server.asked))
    assert (folder / "images-1-0.png").read_bytes().startswith(b"mine")
    assert ["images-1-0.2.png", "images-1-0.png"] == names(folder)


def test_bytes_that_somebody_else_holds_too_are_not_written(folder):
    """Half a part in a backup of hard links stays what it was; the file is begun anew."""
    part(folder, b"da").close()
    os.link(folder / "a-1-0.part", folder / "backup")

    again = PartFile.open(folder, "a-1-0")
    again.restart(MARK)
    again.append(b"other")

    assert b"da" == (folder / "backup").read_bytes()
    again.delete()
    assert ["backup"] == names(folder)


def test_a_finished_part_that_is_begun_anew_leaves_the_file(folder):
    """The bytes are the file's, too."""
    made = part(folder)
    made.publish("bin")
    made.close()

    again = PartFile.open(folder, "a-1-0")
    assert again.is_complete
    again.restart(MARK)
    again.append(b"other")

    assert b"data" == (folder / "a-1-0.bin").read_bytes()
    again.delete()


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("content", [b"data", b"other"])
def test_who_comes_between_naming_and_dropping(folder, content):
    """The second has a part of its own, and loses none of its bytes to the first one's end."""
    first = part(folder)
    named = first.publish("bin").path
    second = part(folder, content)
    first.delete()

    assert content == second.publish("bin").path.read_bytes()
    second.delete()
    assert b"data" == named.read_bytes()
    left = {"a-1-0.bin"} if content == b"data" else {"a-1-0.bin", "a-1-0.2.bin"}
    assert left == set(names(folder))


def test_what_is_swept(folder, monkeypatch):
    """Parts and notes of the name that nobody has in hand, the note of a part that moved too."""
    without_hard_links(monkeypatch)
    made = part(folder)
    made.publish("bin")
    made.close()
    part(folder, stem="a-1-1").close()
    held = part(folder)

    assert {"a-1-0", "a-1-1"} == part_stems(folder)
    remove_stale(folder, "a-1-0")

    assert ["a-1-0.bin", "a-1-0.part", "a-1-0.part.json", "a-1-1.part", "a-1-1.part.json"] == names(
        folder
    )
    held.delete()
    remove_stale(folder, "a-1-0")
    remove_stale(folder, "a-1-1")
    assert ["a-1-0.bin"] == names(folder)


def test_a_link_that_somebody_laid_is_not_followed(folder):
    """A part is a file of ours."""
    folder.mkdir()
    (folder / "a-1-0.part").symlink_to(folder / "precious")
    (folder / "precious").write_bytes(b"precious")

    with pytest.raises(OSError, match="symbolic"):
        PartFile.open(folder, "a-1-0")

    assert b"precious" == (folder / "precious").read_bytes()


@pytest.mark.parametrize("note", ["[" * 100_000, '{"a":' * 100_000, " " * (2 << 20), "\0", "NaN"])
def test_planted_metadata_counts_as_none(note, folder):
    """Text that breaks or floods a parser is not metadata, so the file is fetched anew."""
    part(folder).close()
    (folder / "a-1-0.part.json").write_text(note)

    again = PartFile.open(folder, "a-1-0")

    assert again.metadata is None
    again.delete()


@pytest.mark.parametrize("name", ["images-1-0.part", "images-1-0.part.json", "images-1-0.png"])
@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, _plant_socket, _plant_link])
async def test_planted_file_that_is_not_regular_never_blocks(name, plant, server, saving, folder):
    """The output is saved beside it, or the error says that the file cannot be written."""
    folder.mkdir()
    plant(folder / name)

    async with asyncio.timeout(10), saving() as downloads:
        result = await downloads.try_save(success(server.link()))
        remove_stale(folder, "images-1-0")

    if isinstance(result, Saved):
        assert server.content == result.files[0].path.read_bytes()
    else:
        assert isinstance(result.cause, FileNotWritten)


def test_a_part_that_another_finishes_meanwhile(folder, monkeypatch):
    """Who gets the lock of a file that has moved away begins anew."""
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


def test_a_file_system_without_locks(folder, monkeypatch):
    """There it goes on without them."""

    def refuse(*_any):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert folder / "a-1-0.bin" == published(part(folder))


async def test_saving_again_makes_no_second_file(server, saving, folder):
    """What is there already is found to be the same."""
    async with saving() as downloads:
        first = await downloads.save(success(server.link()))
        second = await downloads.save(success(server.link()))

    assert first == second
    assert ["images-1-0.png"] == names(folder)


async def test_the_same_ticket_twice_at_once(server, saving, folder):
    """Both are told of the one file."""
    server.content = picture(100_000)
    async with saving() as downloads:
        results = await asyncio.gather(*(downloads.save(success(server.link())) for _ in range(4)))

    assert 1 == len(set(results))
    assert ["images-1-0.png"] == names(folder)


async def test_a_folder_that_cannot_be_made(server, saving, folder):
    """The error says what to do."""
    folder.write_text("in the way")
    async with saving() as downloads:
        with pytest.raises(FileNotWritten, match="another folder"):
            await downloads.save(success(server.link()))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "; make room or choose another folder, then"),
        (errno.EACCES, "; choose a folder that this program may write to, then"),
        (errno.ENOENT, "; choose another folder, then"),
        (None, "; choose another folder, then"),
    ],
)
def test_what_to_do_fits_what_is_wrong(number, remedy):
    """Only a full disk asks for room."""
    fault = OSError("odd") if number is None else OSError(number, os.strerror(number))
    assert remedy in str(write_error(fault))


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


async def ended(process):
    told, _ = await asyncio.to_thread(process.communicate, timeout=60)
    return told.strip()


async def test_a_full_disk(server, folder):
    """The error says so, no file has the whole file's name, and the part can be gone on with."""
    server.content = picture(3 << 20)

    told = await ended(program(folder, server.link(), str(2 << 20)))
    assert told.startswith("FileNotWritten images:1: the file cannot be written")
    assert ["images-1-0.part", "images-1-0.part.json"] == names(folder)
    assert 2 << 20 == (folder / "images-1-0.part").stat().st_size

    told = await ended(program(folder, server.link()))
    assert hashlib.sha256(server.content).hexdigest() == told
    assert 2 << 20 == server.asked[-1].start
    assert ["images-1-0.png"] == names(folder)


async def test_a_program_that_is_killed(server, folder):
    """Its part is gone on with, and the file is whole."""
    server.content = picture(3 << 20)
    server.answers = [server.stalled(5 << 19)]
    half = folder / "images-1-0.part"

    process = program(folder, server.link())
    while not half.exists() or half.stat().st_size < 2 << 20:
        await asyncio.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    await ended(process)
    kept = half.stat().st_size
    told = await ended(program(folder, server.link()))

    assert hashlib.sha256(server.content).hexdigest() == told
    assert kept == server.asked[-1].start
    assert ["images-1-0.png"] == names(folder)
