"""The file of an account: what may be in it, and what a restart of the machine does to it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from modelslab_async import AccountError, Client, SQLiteAccount, WrongAccount
from modelslab_async.emulator import Emulator, Jobs

KEY = "a-secret-key-0123456789"
# A submit that never gets a slot fails here, instead of holding the suite.
TIMEOUT_S = 300


def test_value_that_is_no_account_is_refused(path):
    """A path in place of an account names the class to use."""
    with pytest.raises(TypeError, match=r"account is an SQLiteAccount, .* got a value of type str"):
        Client(KEY, account=str(path))


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"rate": 0}, ValueError),
        ({"rate": "10"}, TypeError),
        ({"queue": 0}, ValueError),
        ({"queue": 2.5}, TypeError),
    ],
)
def test_wrong_limits_are_refused(path, limits, error):
    """Limits are checked before the file is created."""
    with pytest.raises(error):
        SQLiteAccount(path, **limits)
    assert not path.exists()


def test_file_of_another_program_is_left_as_it_is(path):
    """A text, and a database with other tables."""
    path.write_text("a shopping list that is long enough for a database header " * 20)
    before = path.read_bytes()
    with pytest.raises(WrongAccount, match="no SQLite database"):
        SQLiteAccount(path)
    assert before == path.read_bytes()
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE songs (title)")
    before = path.read_bytes()
    with pytest.raises(WrongAccount, match="another program"):
        SQLiteAccount(path)
    assert before == path.read_bytes()


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "PostgreSQL", " postgres"])
def test_address_of_a_database_is_refused_and_not_repeated(kind, scheme):
    """It may hold a password."""
    with pytest.raises(ValueError, match="PostgresAccount") as caught:
        SQLiteAccount(kind(f"{scheme}://app:a-secret@db.example/production"))
    assert "a-secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "is empty"),
        (":memory:", "in memory"),
        ("file:account?mode=memory", "is a URI"),
        ("a\0b", "NUL"),
        ("a\ud800b", "lone surrogate"),
    ],
)
def test_path_that_names_no_file_is_refused(path, message, monkeypatch, tmp_path):
    """No two connections would share such an account, so every submit would wait for ever."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"path of an account .*{message}.*'account\.db'"):
        SQLiteAccount(path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [b"account.db", 5, None])
def test_path_of_wrong_type_is_refused(path):
    """A path is a str or a path object of one."""
    with pytest.raises(TypeError, match=r"path of an account is a str or a pathlib\.Path"):
        SQLiteAccount(path)


async def test_account_keeps_its_file_when_the_program_leaves_its_folder(tmp_path, monkeypatch):
    """A relative path names the file that it named when the account was made."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    account = SQLiteAccount("account.db")
    monkeypatch.chdir(tmp_path / "second")
    transport = httpx.ASGITransport(app=Emulator(jobs=Jobs(duration=(0.0, 0.0))))
    async with asyncio.timeout(TIMEOUT_S), Client(KEY, account=account, http=transport) as client:
        await client.submit("realtime/text2img", prompt="a fox")
    assert (tmp_path / "first" / "account.db").exists()
    assert [] == list((tmp_path / "second").iterdir())


def test_relative_path_in_a_deleted_folder_is_an_account_error(tmp_path, monkeypatch):
    """The error names the path as it was given."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(AccountError, match=r"^account\.db: "):
        SQLiteAccount("account.db")


def test_missing_folder_is_an_account_error(tmp_path):
    """The error names the file and what to check."""
    with pytest.raises(AccountError, match=r"nowhere.*see that its folder exists"):
        SQLiteAccount(tmp_path / "nowhere" / "account.db")


async def test_restart_of_the_machine_forgets_times(sqlite_members, clock):
    """The clock starts anew, so times in the future say nothing. Tickets keep their slots."""
    (member,) = sqlite_members(1, rate=10, queue=1)
    clock.now = 500_000.0
    await member.report(waiting=1, polls_wanted=5)
    member.submitted(3)
    await member.report()
    clock.now = 20.0
    (fresh,) = sqlite_members(1, rate=10, queue=1)
    allotment = await fresh.report(waiting=1, polls_wanted=1)
    assert (20.0,) == allotment.poll_times
    assert 0 == fresh.in_flight
    assert 1 == len(fresh.tickets)
    member.tickets.clear()


async def test_restart_of_the_machine_frees_slots_of_submits_in_flight(sqlite_members, clock):
    """They may have started work, so they keep their slots for two minutes."""
    (member,) = sqlite_members(1, queue=1)
    clock.now = 500_000.0
    await member.report(waiting=1)
    clock.now = 20.0
    (fresh,) = sqlite_members(1, queue=1)
    for expected in (0, 0, 0, 0, 0, 1):
        await fresh.report(waiting=1)
        assert expected == fresh.in_flight
        clock.now += 25.0
    member.in_flight = 0


async def test_file_of_the_version_before_permits_is_brought_up_to_date(sqlite_members, path):
    """It gets the table that its version lacks, and its clients go on."""
    (member,) = sqlite_members(1, rate=10)
    await member.report(polls_wanted=1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE poll_permits")
        db.execute("PRAGMA user_version = 1")
    (other,) = sqlite_members(1, rate=10)
    assert 1 == len((await other.report(polls_wanted=1)).poll_times)
    with closing(sqlite3.connect(path)) as db:
        assert 2 == db.execute("PRAGMA user_version").fetchone()[0]
