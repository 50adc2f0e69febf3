"""Which limits hold in a store, and what a store never contains."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from modelslab_async import (
    Batch,
    Client,
    Downloads,
    PostgresAccount,
    SQLiteAccount,
    Success,
    Ticket,
)
from modelslab_async._account import postgres_report_exchange, sqlite_report_exchange
from modelslab_async._journal.process_identity import this_process
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async._shards.poll_limits import PollLimits
from modelslab_async.emulator import Emulator, Jobs, run_server

KEY = "a-secret-key-0123456789"


async def test_other_limits_are_refused(members, store, clock):
    """While clients are open, a process that names other limits gets an error with both."""
    (member,) = members(1, rate=50, queue=5)
    await member.report()
    with pytest.raises(ValueError, match=r"rate=50 and queue=5 .* got rate=50 and queue=10"):
        store.account(clock, rate=50, queue=10)


@pytest.mark.parametrize("queue", [2**31, 2**63])
async def test_queue_that_no_store_can_hold_is_refused(tmp_path, queue):
    """PostgreSQL holds it in 32 bits, and both stores take the same numbers."""
    for make in (
        lambda: SQLiteAccount(tmp_path / "account.db", queue=queue),
        lambda: PostgresAccount("postgresql://127.0.0.1:1/db", queue=queue),
        lambda: PollLimits.of(rate=None, account="account.db", queue=queue, timeout=None),
    ):
        with pytest.raises(ValueError, match="queue is a number of slots from 1 to 2147483647"):
            make()


async def test_limits_change_once_all_clients_have_left(members, store, clock):
    """The plan was changed: close the clients, and open them with the new limits."""
    (member,) = members(1, queue=1)
    await member.report()
    await member.leave()
    store.account(clock, queue=10)
    (member,) = members(1, queue=10)
    await member.report(waiting=20)
    assert 10 == member.in_flight


@pytest.mark.parametrize("first", [0, 1])
async def test_client_that_reports_second_is_refused(members, store, first):
    """Two accounts were made before a client was open. The first client to report sets both."""
    both = [*members(1, rate=50, queue=5), *members(1, rate=80, queue=10)]
    accepted, refused = both[first], both[1 - first]
    await accepted.report()
    limits = ["rate=50(.0)? and queue=5", "rate=80(.0)? and queue=10"]
    message = f"has {limits[first]} .* got {limits[1 - first]}; give the same limits everywhere"
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            await refused.report()
    assert 1 == store.run("SELECT count(*) FROM clients")[0][0]
    await accepted.report(waiting=20)
    assert (5, 10)[first] == accepted.in_flight


async def test_one_of_two_clients_is_refused_if_both_report_at_once(members, store, clock):
    """Their reports reach the store in any order."""
    (one,), (other,) = members(1, rate=50), members(1, rate=80)
    await store.set_clock(clock)
    answers = await asyncio.gather(one.report(), other.report(), return_exceptions=True)
    assert [ValueError] == [type(a).__base__ for a in answers if isinstance(a, Exception)]


async def test_client_that_has_left_sets_no_limits(members):
    """A client that reports second keeps its own limits if the first one has left."""
    (one,), (other,) = members(1, queue=1), members(1, queue=3)
    await one.report()
    await one.leave()
    await other.report(waiting=5)
    assert 3 == other.in_flight


async def test_dead_client_sets_no_limits(members, store):
    """The process of the client that reported first was killed a moment ago."""
    (one,), (other,) = members(1, queue=1), members(1, queue=3)
    await one.report()
    machine, pid, _ = this_process().split(" ")
    # Another process with this pid began at another time, so the recorded one has ended.
    store.run(f"UPDATE clients SET process = '{machine} {pid} 1'")
    await other.report(waiting=5)
    assert 3 == other.in_flight


@pytest.fixture
async def both_clients(store):
    """An emulator, and two clients: the first has submitted, the second has not begun."""
    emulator = Emulator(jobs=Jobs(duration=(600.0, 600.0)))
    emulator.add_job("images:1", duration=600.0)

    @asynccontextmanager
    async def enter(**others):
        first, second = store.account(rate=50), store.account(**others)
        async with run_server(emulator) as url, Client(KEY, base_url=url, account=first) as client:
            await client.submit("realtime/text2img", prompt="a fox")
            async with Client(KEY, base_url=url, account=second) as other:
                yield emulator, other

    return enter


async def test_client_with_other_limits_ends_its_calls_with_the_error(both_clients, caplog):
    """Its waits, streams and submits get the error, those that began before it and later ones."""
    async with both_clients(rate=80, queue=10) as (emulator, refused):
        calls = [
            lambda: refused.wait("images:1"),
            lambda: refused.generate("realtime/text2img", prompt="a fox"),
            lambda: anext(refused.stream(["images:1"])),
        ]
        errors = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        errors += [(await asyncio.gather(call(), return_exceptions=True))[0] for call in calls]
        assert 6 * [True] == [isinstance(error, ValueError) for error in errors], errors
        assert {str(errors[0])} == {str(error) for error in errors}
        assert 0 == emulator.polls["images:1"]
    assert 1 == len(emulator.submits)
    assert [] == caplog.messages


async def test_refused_client_ends_its_save(both_clients, tmp_path):
    """Even if another run still has files to save."""
    async with (
        both_clients(rate=80) as (_, refused),
        Batch.open(tmp_path / "run.db", client=refused) as batch,
        Downloads(refused, to=tmp_path) as downloads,
    ):
        leases = batch.journal.leases
        await batch.add(["images:2"])
        run = await leases.begin_run(lease=3600)
        claim = await leases.claim(run, before_run=run, limit=1, lease=3600)
        success = Success(ticket=Ticket("images", "2"), output=("https://a.example/2.png",))
        await leases.complete(
            run, [OutcomeRow(claim.tickets[0].row_id, 1, success)], save_files=True
        )
        await leases.claim_saves(run, before_run=run, limit=1, lease=3600)
        await batch.add(["images:1"])
        with pytest.raises(ValueError, match="close the other clients first"):
            await anext(batch.save(downloads))


async def test_client_without_rate_may_be_refused_after_polls(both_clients):
    """Polls do not wait for the account if it names no rate. The refusal ends their wait."""
    async with both_clients(rate=None) as (_, refused):
        with pytest.raises(ValueError, match=r"got rate=None and queue=5"):
            await refused.wait("images:1")


@pytest.mark.parametrize("name", ["rate", "queue"])
def test_limits_of_an_account_cannot_be_assigned(store, name):
    """Its clients and the store would not notice."""
    account = store.account(rate=10)
    with pytest.raises(AttributeError, match=name):
        setattr(account, name, 20)
    assert (10, 5) == (account.rate, account.queue)


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
