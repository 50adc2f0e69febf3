"""The file of an account: who may use it, which limits hold, and what it never contains."""

import sqlite3
from contextlib import closing

import pytest

from modelslab_async import AccountError, Client, SQLiteAccount, WrongAccount

KEY = "a-secret-key-0123456789"


async def test_other_limits_are_refused(members, path, clock):
    """While clients are open, a process that names other limits gets an error with both."""
    (member,) = members(1, rate=50, queue=5)
    await member.report()
    with pytest.raises(ValueError, match=r"rate=50 and queue=5 .* got rate=50 and queue=10"):
        SQLiteAccount(path, rate=50, queue=10, clock=clock)


async def test_limits_change_once_all_clients_have_left(members, path, clock):
    """The plan was changed: close the clients, and open them with the new limits."""
    (member,) = members(1, queue=1)
    await member.report()
    await member.leave()
    SQLiteAccount(path, queue=10, clock=clock)
    (member,) = members(1, queue=10)
    await member.report(waiting=20)
    assert 10 == member.in_flight


async def test_client_keeps_to_the_limits_of_the_file(members, path, clock):
    """An account that was opened before the limits changed uses the new ones."""
    (member,) = members(1, queue=1)
    SQLiteAccount(path, queue=3, clock=clock)
    await member.report(waiting=5)
    assert 3 == member.in_flight


def test_other_limits_beside_an_account_are_refused(path):
    """A client that is given an account and another rate or queue is not made."""
    account = SQLiteAccount(path, rate=10, queue=10)
    with pytest.raises(ValueError, match="the account has rate=10, got rate=20"):
        Client(KEY, account=account, rate=20)
    with pytest.raises(ValueError, match="the account has queue=10, got queue=15"):
        Client(KEY, account=account, queue=15)


def test_value_that_is_no_account_is_refused(path):
    """A path in place of an account names the class to use."""
    with pytest.raises(TypeError, match=r"account is an SQLiteAccount .* got a value of type str"):
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
    with pytest.raises(WrongAccount, match="another program"):
        SQLiteAccount(path)


def test_missing_folder_is_an_account_error(tmp_path):
    """The error names the file and what to check."""
    with pytest.raises(AccountError, match=r"nowhere.*see that its folder exists"):
        SQLiteAccount(tmp_path / "nowhere" / "account.db")


async def test_file_holds_no_key(path):
    """Only a digest of the key is written."""
    async with Client(KEY, account=SQLiteAccount(path, rate=10), base_url="http://127.0.0.1:9"):
        pass
    with closing(sqlite3.connect(path)) as db:
        dump = "\n".join(db.iterdump())
    assert KEY not in dump
    assert KEY.encode() not in b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_restart_of_the_machine_forgets_times(members, clock):
    """The clock starts anew, so times in the future say nothing. Tickets keep their slots."""
    (member,) = members(1, rate=10, queue=1)
    clock.now = 500_000.0
    await member.report(waiting=1, polls_wanted=5)
    member.submitted(3)
    await member.report()
    clock.now = 20.0
    (fresh,) = members(1, rate=10, queue=1)
    allotment = await fresh.report(waiting=1, polls_wanted=1)
    assert (20.0,) == allotment.poll_times
    assert 0 == fresh.in_flight
    assert 1 == len(fresh.tickets)
    member.tickets.clear()


async def test_restart_of_the_machine_frees_slots_of_submits_in_flight(members, clock):
    """They may have started work, so they keep their slots for two minutes."""
    (member,) = members(1, queue=1)
    clock.now = 500_000.0
    await member.report(waiting=1)
    clock.now = 20.0
    (fresh,) = members(1, queue=1)
    for expected in (0, 0, 0, 0, 0, 1):
        await fresh.report(waiting=1)
        assert expected == fresh.in_flight
        clock.now += 25.0
    member.in_flight = 0
