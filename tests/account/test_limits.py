"""Which limits hold in a store, and what a store never contains."""

import pytest

from modelslab_async import Client
from modelslab_async._account import postgres_report_exchange, sqlite_report_exchange

KEY = "a-secret-key-0123456789"


async def test_other_limits_are_refused(members, store, clock):
    """While clients are open, a process that names other limits gets an error with both."""
    (member,) = members(1, rate=50, queue=5)
    await member.report()
    with pytest.raises(ValueError, match=r"rate=50 and queue=5 .* got rate=50 and queue=10"):
        store.account(clock, rate=50, queue=10)


async def test_limits_change_once_all_clients_have_left(members, store, clock):
    """The plan was changed: close the clients, and open them with the new limits."""
    (member,) = members(1, queue=1)
    await member.report()
    await member.leave()
    store.account(clock, queue=10)
    (member,) = members(1, queue=10)
    await member.report(waiting=20)
    assert 10 == member.in_flight


async def test_client_keeps_to_the_limits_of_the_file(members, store, clock):
    """An account that was opened before the limits changed uses the new ones."""
    (member,) = members(1, queue=1)
    store.account(clock, queue=3)
    await member.report(waiting=5)
    assert 3 == member.in_flight


def test_other_limits_beside_an_account_are_refused(store):
    """A client that is given an account and another rate or queue is not made."""
    account = store.account(rate=10, queue=10)
    with pytest.raises(ValueError, match="the account has rate=10, got rate=20"):
        Client(KEY, account=account, rate=20)
    with pytest.raises(ValueError, match="the account has queue=10, got queue=15"):
        Client(KEY, account=account, queue=15)


async def test_store_holds_no_key(store):
    """Only a digest of the key is written."""
    async with Client(KEY, account=store.account(rate=10), base_url="http://127.0.0.1:9"):
        pass
    assert KEY.encode() not in store.dump()


async def test_busy_clients_do_not_check_whether_the_others_live(members, clock, monkeypatch):
    """A check reads files of the system, so only clients that have not reported are checked."""
    checks = []
    for module in (sqlite_report_exchange, postgres_report_exchange):
        monkeypatch.setattr(module, "has_died", lambda process: bool(checks.append(process)))
    *busy, idle = members(4, rate=100)
    await idle.report()
    clock.now += 0.4
    for _ in range(5):
        for member in busy:
            await member.report()
    assert [] == checks
    clock.now += 0.2
    for _ in range(2):
        for member in busy:
            await member.report()
    assert checks
    assert 1 == len(set(checks))
