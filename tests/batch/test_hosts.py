"""Hosts with folders of their own: the journal says which host has which file."""

import os
from contextlib import aclosing

import httpx
import pytest

from modelslab_async import Batch, Downloads
from tests.unprivileged_user import unprivileged_user

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LINKS = ["https://files.example/0.png", "https://files.example/1.png"]


class Hosts:
    """Hosts that share a batch, each with a folder of its own. Only one runs at a time."""

    def __init__(self, make_client, path, tmp_path, monkeypatch):
        self._make_client = make_client
        self._path = path
        self._tmp_path = tmp_path
        self._monkeypatch = monkeypatch
        self.gone = set()

    def folder(self, name):
        return self._tmp_path / name

    def batch(self, name, **more):
        """Open the batch on a host."""
        self._monkeypatch.setenv("MODELSLAB_HOST_NAME", name)
        return Batch.open(self._path, **more)

    async def save(self, name, tickets=(), folder=None):
        """Save what is to be saved, on a host."""
        transport = httpx.MockTransport(self._serve)
        to = self.folder(folder or name)
        async with (
            self._make_client() as client,
            self.batch(name, client=client) as batch,
            Downloads(client, to=to, http=transport, link_timeout=0) as downloads,
        ):
            await batch.add(tickets)
            async with aclosing(batch.save(downloads)) as results:
                return [each async for each in results]

    async def verify(self, name, folder=None, **more):
        async with self.batch(name) as batch:
            return await batch.verify(folder, **more)

    async def hosts(self):
        """Return the host of each recorded file."""
        async with self.batch("reader") as batch:
            return {
                (each.ticket.id, each.output_index): each.host
                async for each in batch.journal.all_files()
            }

    def _serve(self, request):
        is_gone = str(request.url) in self.gone
        return httpx.Response(410) if is_gone else httpx.Response(200, content=PNG)


@pytest.fixture
def hosts(a_client, path, tmp_path, monkeypatch):
    return Hosts(a_client, path, tmp_path, monkeypatch)


@pytest.fixture
def in_database(a_client, address, tmp_path, monkeypatch):
    return Hosts(a_client, address, tmp_path, monkeypatch)


@pytest.fixture
def in_file(a_client, file_path, tmp_path, monkeypatch):
    return Hosts(a_client, file_path, tmp_path, monkeypatch)


def add_job(emulator, number, links=LINKS[:1]):
    return emulator.add_job(("images", number), fails=False, output=links)


def ids(files):
    return [file.ticket.id for file in files]


async def test_each_host_knows_which_files_are_on_another(in_database, emulator):
    """On each host, its own files are unchanged, and those of the other are elsewhere."""
    await in_database.save("north", [add_job(emulator, 1), add_job(emulator, 2)])
    await in_database.save("south", [add_job(emulator, 3)])
    assert {("1", 0): "north", ("2", 0): "north", ("3", 0): "south"} == await in_database.hosts()
    in_database.folder("north").rename(in_database.folder("the disk of north"))
    found = await in_database.verify("south", repair=True)
    assert (["3"], (), ()) == (ids(found.unchanged), found.changed, found.missing)
    assert {"north": ["1", "2"]} == {host: ids(files) for host, files in found.elsewhere.items()}
    assert [] == await in_database.save("south")
    found = await in_database.verify("north", in_database.folder("the disk of north"))
    assert (["1", "2"], ()) == (ids(found.unchanged), found.missing)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
async def test_file_of_another_host_behind_a_private_folder_is_elsewhere(in_database, emulator):
    """A folder of this host may have the same path. It says nothing about the other host's file."""
    await in_database.save("north", [add_job(emulator, 1)])
    in_database.folder("north").chmod(0o000)
    with unprivileged_user():
        found = await in_database.verify("south")
    assert ({"north": 1}, ()) == (
        {host: len(f) for host, f in found.elsewhere.items()},
        found.changed,
    )
    with unprivileged_user():
        found = await in_database.verify("north")
    assert (["1"], {}) == (ids(found.changed), found.elsewhere)


async def test_file_that_its_own_host_lacks_is_missing(in_database, emulator):
    """That host saves it again, and another host that has its name does too."""
    await in_database.save("north", [add_job(emulator, 1)])
    in_database.folder("north").rename(in_database.folder("lost"))
    assert {} == (found := await in_database.verify("north", repair=True)).elsewhere
    assert ["1"] == ids(found.missing)
    assert 1 == len(await in_database.save("south"))
    assert {("1", 0): "south"} == await in_database.hosts()
    assert ["1"] == ids((await in_database.verify("south")).unchanged)


async def test_shared_folder_is_verified_on_any_host(in_database, emulator):
    """A file that is there is unchanged or changed, whichever host saved it."""
    tickets = [add_job(emulator, 1), add_job(emulator, 2)]
    await in_database.save("north", tickets, folder="shared")
    (in_database.folder("shared") / "images-2-0.png").write_bytes(b"scribbled over")
    found = await in_database.verify("south", repair=True)
    assert (["1"], ["2"], {}) == (ids(found.unchanged), ids(found.changed), found.elsewhere)
    await in_database.save("south", folder="shared")
    assert {("1", 0): "north", ("2", 0): "south"} == await in_database.hosts()


async def test_host_that_takes_over_a_ticket_has_all_its_files(in_database, emulator):
    """What the first host saved of the ticket is not on the second, which saves it as well."""
    in_database.gone = {LINKS[1]}
    (unsaved,) = await in_database.save("north", [add_job(emulator, 1, LINKS)])
    assert 1 == len(unsaved.files)
    assert {("1", 0): "north"} == await in_database.hosts()
    in_database.gone = set()
    in_database.folder("north").rename(in_database.folder("the disk of north"))
    (saved,) = await in_database.save("south")
    assert [in_database.folder("south")] * 2 == [file.path.parent for file in saved.files]
    assert {("1", 0): "south", ("1", 1): "south"} == await in_database.hosts()


async def test_renamed_machine_has_its_files(hosts, emulator):
    """Its files are unchanged under any name, and nothing is saved again."""
    await hosts.save("old-name", [add_job(emulator, 1)])
    found = await hosts.verify("new-name", repair=True)
    assert (["1"], {}) == (ids(found.unchanged), found.elsewhere)
    assert [] == await hosts.save("new-name", folder="old-name")
    assert {("1", 0): "old-name"} == await hosts.hosts()


async def test_file_of_a_renamed_machine_is_missing(in_file, emulator):
    """A journal in a file is of one machine, so another name is an earlier one of the same."""
    await in_file.save("old-name", [add_job(emulator, 1)])
    (in_file.folder("old-name") / "images-1-0.png").unlink()
    found = await in_file.verify("new-name", repair=True)
    assert (["1"], {}) == (ids(found.missing), found.elsewhere)
    assert 1 == len(await in_file.save("new-name"))
    assert {("1", 0): "new-name"} == await in_file.hosts()
