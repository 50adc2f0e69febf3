"""A journal in a database waits for a new primary, and is not misled by rows that others change."""

import asyncio

import asyncpg
import pytest
from journal_states import run_sql

from modelslab_async import JournalReadOnly, Success, Ticket
from modelslab_async._journal import postgres_leases, postgres_save_queue, postgres_tables
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async.journal import Journal

A, B = Ticket("images", 1), Ticket("images", 2)
SCHEMA = postgres_tables.DEFAULT_SCHEMA


@pytest.fixture
def on_connect(monkeypatch):
    """Run scripts on the next connections, one on each. A script may be an error to raise."""
    connect, given = PostgresSession.connect, []

    async def connecting(self):
        await connect(self)
        if given:
            script = given.pop()
            if isinstance(script, Exception):
                self.drop()
                raise script
            await self.run_script(script)

    def next_ones(script, count):
        given.extend([script] * count)
        monkeypatch.setattr(PostgresSession, "connect", connecting)
        return given

    return next_ones


TO_STANDBY = "SET default_transaction_read_only = on"


@pytest.mark.parametrize("is_commit_lost", [True, False])
async def test_server_that_becomes_a_standby_is_waited_for(
    address, on_connect, monkeypatch, is_commit_lost
):
    """It takes no writes any more. The new primary has what was committed, and takes the rest."""
    run_script = PostgresSession.run_script
    lost = []

    async def losing(self, statements):
        await run_script(self, statements)
        if statements == "COMMIT" and not lost:
            lost.append(statements)
            self.drop()
            raise ConnectionError("connection lost")

    async with Journal.open(address) as journal:
        assert 1 == await journal.add([A])
        if is_commit_lost:
            monkeypatch.setattr(PostgresSession, "run_script", losing)
        left = on_connect(TO_STANDBY, 3)
        if is_commit_lost:
            left.append("SELECT 1")
        assert 1 == await journal.add([B])
        assert [] == left
        assert 2 == (await journal.report()).tickets


async def test_server_that_never_took_a_write_is_an_error_at_once(address, on_connect):
    """The address may be that of a standby."""
    async with Journal.open(address) as journal:
        on_connect(TO_STANDBY, 1)
        with pytest.raises(JournalReadOnly, match="address of its primary"):
            await journal.add([A])


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is in recovery mode"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        asyncpg.exceptions.TooManyConnectionsError("too many clients"),
        asyncpg.InterfaceError("connection is closed"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_server_that_takes_no_connection_yet_is_waited_for(address, on_connect, error):
    """Writes and reads are repeated until it does."""
    async with Journal.open(address) as journal:
        left = on_connect(error, 2)
        assert 1 == await journal.add([A])
        assert [] == left
        on_connect(error, 2)
        assert 1 == (await journal.report()).tickets
        assert [] == left


async def test_address_that_wants_a_primary_waits_for_one(address, monkeypatch):
    """With `target_session_attrs`, the driver refuses all servers while none is a primary."""
    path = address.replace("tests:", "failover:", 1)
    path = path.replace("?", "?target_session_attrs=read-write&", 1)
    open_, refusals = PostgresSession._open, []

    async def opening(self):
        try:
            return await open_(self)
        except Exception as error:
            refusals.append(type(error).__name__)
            raise

    monkeypatch.setattr(PostgresSession, "_open", opening)
    run_sql(address, "CREATE ROLE failover SUPERUSER LOGIN")
    try:
        async with Journal.open(path) as journal:
            assert 1 == await journal.add([A])
            run_sql(
                *(address, "ALTER ROLE failover SET default_transaction_read_only = on"),
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'failover'",
            )
            adding = asyncio.create_task(journal.add([B]))
            while len(refusals) < 2:
                await asyncio.wait([adding], timeout=0.01)
                assert not adding.done()
            run_sql(address, "ALTER ROLE failover RESET default_transaction_read_only")
            assert 1 == await adding
    finally:
        # The role owns the tables if no earlier test has made them.
        run_sql(address, "REASSIGN OWNED BY failover TO CURRENT_USER", "DROP ROLE failover")
    assert {"TargetServerAttributeNotMatched"} == {*refusals}


@pytest.mark.parametrize(
    ("module", "table", "claim"),
    [
        (postgres_leases, "unfinished", "claim"),
        (postgres_save_queue, "saves", "claim_saves"),
    ],
)
async def test_claim_returns_no_row_that_changes_meanwhile(
    address, monkeypatch, module, table, claim
):
    """Such a row is locked, but not updated. So the run does not have it."""
    wait = "run = 0 AND pg_advisory_xact_lock_shared(42) IS NOT NULL"
    monkeypatch.setattr(module, "_CLAIM", module._CLAIM.replace("run = 0", wait, 1))
    async with Journal.open(address) as journal:
        await journal.add([A])
        first = await journal.leases.begin_run(lease=60)
        if table == "saves":
            ((row, _),) = (
                await journal.leases.claim(first, before_run=first, limit=10, lease=60)
            ).tickets
            done = Success(ticket=A, output=(), raw={"status": "success"})
            await journal.leases.complete(first, [OutcomeRow(row, 1, done)], save_files=True)
        run = await journal.leases.begin_run(lease=60)
        connection = await asyncpg.connect(address.rpartition("&batch=")[0])
        await connection.execute("SELECT pg_advisory_lock(42)")
        claiming = asyncio.create_task(
            getattr(journal.leases, claim)(run, before_run=run, limit=10, lease=60)
        )
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not await connection.fetch(waiting):
            await asyncio.wait([claiming], timeout=0.01)
            assert not claiming.done()
        # Another run claims the row and frees it again, while the claim has begun already.
        await connection.execute(f"UPDATE {SCHEMA}.{table} SET run = {first} WHERE run = 0")
        await connection.execute(f"UPDATE {SCHEMA}.{table} SET run = 0 WHERE run = {first}")
        await connection.close()
        claimed = await claiming
        held = run_sql(address, f"SELECT FROM {table} WHERE run = {run}")
        assert len(held) == len(claimed.tickets if table == "unfinished" else claimed.pending)
        assert [] != held or claimed.has_others


async def test_submit_that_is_withdrawn_while_it_is_confirmed_is_an_error(address, monkeypatch):
    """Its ticket is not added, because no submit is recorded for it."""
    fetch = PostgresSession.fetch

    async def withdrawing(self, statement, *arguments, **more):
        if "UPDATE submits SET ticket" in statement:
            run_sql(address, f"DELETE FROM submits WHERE batch = {arguments[0]}")
        return await fetch(self, statement, *arguments, **more)

    async with Journal.open(address) as journal:
        await journal.record_submit("7", endpoint="e", payload_hash="ab")
        monkeypatch.setattr(PostgresSession, "fetch", withdrawing)
        with pytest.raises(ValueError, match="no uncertain submit with the track_id '7'"):
            await journal.confirm("7", A)
        assert 0 == (await journal.report()).tickets


async def test_submit_that_is_replaced_while_it_is_withdrawn_stays(address):
    """Its sender withdraws it at the same moment, and another process sends its track_id."""
    async with Journal.open(address) as journal:
        await journal.record_submit("7", endpoint="e", payload_hash="ab")
        connection = await asyncpg.connect(address.rpartition("&batch=")[0])
        columns = "batch, track_id, endpoint, payload_hash, recorded_at"
        await connection.execute(
            f"BEGIN; CREATE TEMP TABLE old AS SELECT {columns} FROM {SCHEMA}.submits "
            f"WHERE batch = (SELECT max(batch) FROM {SCHEMA}.batches); "
            f"DELETE FROM {SCHEMA}.submits WHERE batch = (SELECT batch FROM old); "
            f"INSERT INTO {SCHEMA}.submits ({columns}) SELECT {columns} FROM old"
        )
        withdrawing = asyncio.create_task(journal.withdraw("7"))
        waiting = "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
        while not await connection.fetch(waiting):
            await asyncio.wait([withdrawing], timeout=0.01)
            assert not withdrawing.done()
        await connection.execute("COMMIT")
        await connection.close()
        with pytest.raises(ValueError, match="no uncertain submit with the track_id '7'"):
            await withdrawing
        assert await journal.find_submit("7") is not None
