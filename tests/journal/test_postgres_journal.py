"""A journal in a database: whatever happens to it, nothing is lost, told twice or shown."""

import asyncio
import errno
import inspect
import json
import logging
import os
import platform
import re
import traceback
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

import anyio.to_thread
import asyncpg
import pytest
from journal_states import dump, run_script, run_sql, states

from modelslab_async import (
    Failed,
    JournalDamaged,
    JournalError,
    JournalLocked,
    JournalReadOnly,
    ModelsLabError,
    Processing,
    Success,
    Ticket,
    Unresolved,
    WrongJournal,
)
from modelslab_async._journal import (
    exports,
    postgres_leases,
    postgres_patience,
    postgres_queries,
    postgres_results_of_tickets,
    postgres_save_queue,
    postgres_tables,
    postgres_transaction,
    queries,
    tickets,
)
from modelslab_async._journal.postgres_batch_location import PostgresBatch
from modelslab_async._journal.postgres_operation_map import COUNTERPARTS, SNAPSHOTS
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async._journal.postgres_tables import MIGRATIONS, migration_script
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async.journal import Journal, PendingSubmit

A, B = Ticket("images", 1), Ticket("images", 2)
PASSWORD = "a-secret-password"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "journal.md"


def done(ticket):
    return Success(ticket=ticket, output=("https://a",), raw={"status": "success"})


async def claimed_by(journal, *, lease=60, limit=10):
    """Begin a run, and claim. Return its number and those of the tickets."""
    run = await journal.leases.begin_run(lease=lease)
    claim = await journal.leases.claim(run, before_run=run, limit=limit, lease=lease)
    return run, {ticket: number for number, ticket in claim.tickets}


@pytest.mark.parametrize("operation", COUNTERPARTS, ids=lambda each: each.__name__)
def test_counterpart_takes_the_same_arguments(operation):
    """Callers name an operation by its function for files, and the database takes its arguments."""

    def parameters(function):
        return [*inspect.signature(function).parameters.values()][1:]

    assert parameters(operation) == parameters(COUNTERPARTS[operation])
    assert set(COUNTERPARTS) >= SNAPSHOTS


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("postgresql://u:a-secret-password@h/db", "names its batch"),
        ("postgresql://u:a-secret-password@h/db?batch=", "one batch=NAME"),
        ("postgresql://u:a-secret-password@h/db?batch=a&batch=b", "one batch=NAME"),
        ("postgresql://u:a-secret-p@ssword@h/d@b?batch=a", "percent-encoded"),
        (f"postgresql://u:a-secret-password@h/db?batch=a&schema={'s' * 64}", "63 bytes"),
        ("postgresql://h/db?batch=a;password=a-secret-password", "settings are joined by &"),
        ("postgresql://h/db?batch=a%26password%3Da-secret-password", "settings are joined by &"),
        ("postgresql://h/db?batch=a;pasword=a-secret-password", "name of a batch has none of"),
        ("postgresql://h/db?batch=a?u:a-secret-password", "name of a batch has none of"),
        ("postgresql://h/db?batch=a%26a-secret-password", "name of a batch has none of"),
        ("postgresql://h/db?batch=a&schema=s;a-secret-password", "name of a schema has none of"),
        ("postgresql://h/db?batch=a&sslmode=on;Password=a-secret-password", "joined by &"),
        ("postgresql://h/db;password=a-secret-password?batch=a", "joined by &"),
        ("postgresql://h/db&password=a-secret-password&batch=a", "joined by &"),
        (Path("postgresql://u:a-secret-password@h/db?batch=a"), "begins with 'postgresql://'"),
    ],
)
async def test_malformed_address_is_refused_and_not_shown(path, message):
    """The error says how to write it, and repeats no part of it."""
    with pytest.raises(ValueError, match=message) as caught:
        async with Journal.open(path):
            pass
    assert "a-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["two cats", "v1.2/cats", "cats:3 (old), été", "a@b#c+d"])
def test_name_of_a_batch_may_have_spaces_and_signs(name):
    """The address shows it as it is written there."""
    path = f"postgresql://h/db?batch={quote(name, safe='')}"
    assert name == PostgresBatch.parse(path).name
    assert path == PostgresBatch.parse(path).shown


async def test_unreachable_server_is_an_error_at_once_without_the_password(address):
    """Opening does not wait for the server, unlike a journal that is open."""
    missing = address.replace("host=/tmp/", "host=/tmp/missing-")
    with pytest.raises(JournalError, match="server runs") as caught:
        async with Journal.open(missing):
            pass
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert caught.value.path.startswith("postgresql:///postgres?batch=")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@127.0.0.1:9/db?batch=a&target_session_attrs=a-secret-password",
        "postgresql://u@127.0.0.1:9/db?batch=a&ssl_min_protocol_version=a-secret-password",
        "postgresql://u:a-secret-password@127.0.0.1:9/db?batch=a&sslmode=a-secret-password",
        "postgresql://u:a-secret-password@127.0.0.1:99999/db?batch=a",
        "postgresql://u:a-secret-password@a..b/db?batch=a",
    ],
)
async def test_setting_that_the_driver_refuses_is_a_journal_error(address):
    """The message says what is wrong, and repeats no value, which may be in a wrong place."""
    with pytest.raises(JournalError, match="a part of the address or a PG") as caught:
        async with Journal.open(address):
            pass
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


async def test_password_is_nowhere_while_a_journal_is_open(address, caplog, monkeypatch):
    """Neither in a repr, nor in the log, nor in the database, nor in an error."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.0)
    batch = PostgresBatch.parse(address)
    async with Journal.open(address) as journal:
        await journal.add([A])
        shown = [batch, batch.make_session(), batch.translate, journal._store, journal.path]

        async def lose(*_, **__):
            raise ConnectionError(f"cannot reach {address}")

        with monkeypatch.context() as patch:
            patch.setattr(PostgresSession, "fetch", lose)
            for fail in (lambda: journal.add([B]), journal.report, lambda: journal.last(A)):
                with pytest.raises(JournalError) as caught:
                    await fail()
                shown.append("".join(traceback.format_exception(caught.value)))
    assert PASSWORD not in f"{shown!r}{caplog.text}"
    assert PASSWORD not in dump(address)


async def test_tables_are_created_once_by_many(address):
    """Each of many processes finds no tables, and one of them creates them."""
    path = f"{address}&schema=created%20by%20many"
    run_sql(path, 'DROP SCHEMA IF EXISTS "created by many" CASCADE')

    async def one(number):
        async with Journal.open(path) as journal:
            return await journal.add([("images", number)])

    assert [1] * 8 == await asyncio.gather(*map(one, range(8)))
    async with Journal.open(path) as journal:
        assert 8 == (await journal.report()).tickets
        assert journal.path.endswith("&schema=created%20by%20many")
    run_sql(path, 'DROP SCHEMA "created by many" CASCADE')


async def test_batches_of_a_schema_do_not_see_each_other(address):
    """The same ticket is in both, with an outcome of its own."""
    other = f"{address}%20more"
    async with Journal.open(address) as first, Journal.open(other) as second:
        assert (1, 1) == (await first.add([A]), await second.add([A]))
        run, numbers = await claimed_by(first)
        await first.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))])
        assert (1, 0) == ((await first.report()).success, (await second.report()).success)
        assert await second.last(A) is None
        assert {A} == {*(await claimed_by(second))[1]}


async def test_older_schema_is_migrated_once(address, monkeypatch):
    """It keeps its content. A package that does not know the new version refuses it."""
    path = f"{address}&schema=migrated"
    run_sql(path, "DROP SCHEMA IF EXISTS migrated CASCADE")
    async with Journal.open(path) as journal:
        await journal.add([A])
    step = ("ALTER TABLE tickets ADD COLUMN colour text NOT NULL DEFAULT 'blue'",)
    with monkeypatch.context() as patch:
        patch.setattr(postgres_tables, "MIGRATIONS", (*MIGRATIONS, step))
        patch.setattr(postgres_tables.newest_version, "__defaults__", ((*MIGRATIONS, step),))
        patch.setattr(postgres_tables.migration_script, "__defaults__", (0, (*MIGRATIONS, step)))
        for _ in range(2):
            async with Journal.open(path) as journal:
                assert 1 == (await journal.report()).tickets
    assert [("blue",)] == run_sql(path, "SELECT colour FROM migrated.tickets")
    with pytest.raises(WrongJournal, match="upgrade"):
        async with Journal.open(path):
            pass
    run_sql(path, "DROP SCHEMA migrated CASCADE")


@pytest.mark.parametrize("by_script", [False, True], ids=["opened", "printed statements"])
async def test_version_1_is_migrated(address, by_script):
    """Its files are there, without the names of their hosts, and new ones have such a name."""
    path = f"{address}&schema=version%201"
    run_sql(path, 'DROP SCHEMA IF EXISTS "version 1" CASCADE')
    run_script(path, migration_script("version 1", migrations=MIGRATIONS[:1]))
    run_script(
        path,
        f"""
        SET search_path = "version 1";
        INSERT INTO batches (name) VALUES ('other'), ('{unquote(address.rpartition("=")[2])}');
        INSERT INTO tickets (batch, family, id, added_at)
        SELECT batch, 'images', '1', 9 FROM batches;
        INSERT INTO files (
            batch, ticket, size, recorded_at, output_index, is_length_verified, path, sha256, url
        ) SELECT batch, ticket, 5, 9, 0, true, '/out/a.png', 'ab', 'https://a' FROM tickets
        """,
    )
    if by_script:
        run_script(path, migration_script("version 1"))
        assert [(3,)] == run_sql(path, 'SELECT version FROM "version 1".journal_version')
    async with Journal.open(path) as journal:
        (old,) = await journal.files(A)
        assert ("/out/a.png", "ab", 5, 9.0, None) == (
            *(old.path, old.sha256, old.size, old.recorded_at, old.host),
        )
        await journal.record_file(A, 1, path="/out/b.png", sha256="cd", size=6, url="https://b")
        assert [None, platform.node()] == [each.host async for each in journal.all_files()]
    assert [(3,)] == run_sql(path, 'SELECT version FROM "version 1".journal_version')
    run_sql(path, 'DROP SCHEMA "version 1" CASCADE')


async def test_version_2_is_migrated(address):
    """Its uncertain submits are there, without tickets of their replies."""
    path = f"{address}&schema=version%202"
    run_sql(path, 'DROP SCHEMA IF EXISTS "version 2" CASCADE')
    run_script(path, migration_script("version 2", migrations=MIGRATIONS[:2]))
    run_script(
        path,
        f"""
        SET search_path = "version 2";
        INSERT INTO batches (name) VALUES ('{unquote(address.rpartition("=")[2])}');
        INSERT INTO submits (batch, track_id, endpoint, payload_hash, recorded_at)
        SELECT batch, 'my-1', 'realtime/text2img', '0', 9 FROM batches
        """,
    )
    async with Journal.open(path) as journal:
        (old,) = await journal.uncertain()
        assert ("my-1", 9.0, None) == (old.track_id, old.recorded_at, old.named_ticket)
    run_sql(path, 'DROP SCHEMA "version 2" CASCADE')


async def test_migration_gives_up_while_a_transaction_reads_a_table(address, monkeypatch):
    """While it waited, the submits of all programs would wait for it."""
    monkeypatch.setattr(postgres_tables, "_LOCK_TIMEOUT", "10ms")
    path = f"{address}&schema=read"
    run_sql(path, "DROP SCHEMA IF EXISTS read CASCADE")
    run_script(path, migration_script("read", migrations=MIGRATIONS[:2]))
    reader = await asyncpg.connect(address.partition("&batch")[0])
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM read.submits")
            with pytest.raises(JournalLocked, match="another process holds a lock"):
                async with Journal.open(path):
                    pass
    finally:
        await reader.close()
    async with Journal.open(path):
        pass
    assert [(3,)] == run_sql(path, "SELECT version FROM read.journal_version")
    run_sql(path, "DROP SCHEMA read CASCADE")


async def test_printed_statements_create_the_tables(address):
    """They may run twice. A role without the right to create a schema then uses them."""
    path = f"{address}&schema=printed"
    run_sql(path, "DROP SCHEMA IF EXISTS printed CASCADE")
    with pytest.raises(JournalError):
        await opened_as("guest", path)
    for _ in range(2):
        run_script(path, migration_script("printed"))
    run_sql(path, *RIGHTS)
    try:
        await opened_as("guest", path)
    finally:
        run_sql(path, "DROP SCHEMA printed CASCADE", "DROP OWNED BY guest", "DROP ROLE guest")


async def test_role_without_the_right_to_migrate_names_the_command(address):
    """After an upgrade, the owner of the tables runs the printed statements."""
    path = f"{address}&schema=printed"
    run_sql(path, "DROP SCHEMA IF EXISTS printed CASCADE")
    run_script(path, migration_script("printed", migrations=MIGRATIONS[:1]))
    run_sql(path, "CREATE ROLE guest LOGIN", *RIGHTS)
    try:
        with pytest.raises(JournalReadOnly, match="batch schema --schema printed` prints"):
            await opened_as("guest", path)
        run_script(path, migration_script("printed"))
        await opened_as("guest", path)
    finally:
        run_sql(path, "DROP SCHEMA printed CASCADE", "DROP OWNED BY guest", "DROP ROLE guest")


RIGHTS = (
    "GRANT USAGE ON SCHEMA printed TO guest",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA printed TO guest",
)


async def opened_as(role, path):
    """Use the journal as a role of its own."""
    run_sql(path, f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN OTHERS THEN END $$")
    async with Journal.open(path.replace("tests:", f"{role}:", 1)) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))], save_files=True)
        await journal.leases.end_run(run)
        assert 1 == (await journal.report()).success


async def test_role_that_may_only_read_reports(address):
    """Methods that write say that the role may not."""
    async with Journal.open(address) as journal:
        await journal.add([A])
    schema = postgres_tables.DEFAULT_SCHEMA
    run_sql(
        *(address, "CREATE ROLE reader LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO reader"),
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader",
    )
    try:
        async with Journal.open(address.replace("tests:", "reader:", 1)) as journal:
            assert 1 == (await journal.report()).tickets
            with pytest.raises(JournalReadOnly, match="may not"):
                await journal.add([B])
    finally:
        run_sql(address, "DROP OWNED BY reader", "DROP ROLE reader")


async def test_commits_are_synchronous_though_the_role_has_it_off(address):
    """A commit returns when it is on the disk. What is stricter stays."""
    for setting, expected in (("off", "on"), ("remote_apply", "remote_apply")):
        session = PostgresBatch.parse(
            f"{address.replace('?', f'?synchronous_commit={setting}&')}"
        ).make_session()
        await session.connect()
        assert [(expected,)] == [
            tuple(row) for row in await session.fetch("SHOW synchronous_commit")
        ]
        await session.aclose()


@pytest.fixture
def lose_commits(monkeypatch):
    """Lose the connection at a commit: before the server has it, or before its reply."""
    run_script = PostgresSession.run_script
    lost = []

    def lose(*, carried_out, times=1):
        async def losing(self, statements):
            if statements == "COMMIT" and len(lost) < times:
                lost.append(statements)
                if carried_out:
                    await run_script(self, statements)
                self.drop()
                raise ConnectionError("connection lost")
            await run_script(self, statements)

        monkeypatch.setattr(PostgresSession, "run_script", losing)
        return lost

    return lose


@pytest.mark.parametrize("carried_out", [True, False])
async def test_commit_without_a_reply_counts_once(address, lose_commits, carried_out):
    """The writer asks whether the commit took place, and tells the right result."""
    async with Journal.open(address) as journal:
        lost = lose_commits(carried_out=carried_out)
        assert 1 == await journal.add([A])
        run, numbers = await claimed_by(journal)
        lost.clear()
        row = OutcomeRow(numbers[A], 3, done(A))
        assert [True] == await journal.leases.complete(run, [row])
        assert [False] == await journal.leases.complete(run, [row])
        lost.clear()
        await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
        assert 1 == len(lost)
        report = await journal.report()
    assert (1, 1, 3, 1) == (report.tickets, report.success, report.polls, report.uncertain)


async def test_commit_that_cannot_be_asked_about_is_not_repeated(
    address, lose_commits, monkeypatch
):
    """All callers of the group get an error, and the commit counts once."""
    async with Journal.open(address) as journal:
        run, _ = await claimed_by(journal)
        lose_commits(carried_out=True)
        with monkeypatch.context() as patch:
            patch.setattr(postgres_transaction, "_LAST_COMMIT", "SELECT no_such_column")
            results = await asyncio.gather(
                journal.add([A]), journal.add([B]), return_exceptions=True
            )
        assert [JournalError] * 2 == [type(each) for each in results]
        assert 2 == (await journal.report()).tickets
        assert await journal.leases.renew(run, lease=60)


async def test_database_that_stays_away_is_an_error(address, lose_commits, monkeypatch):
    """After the patience. Later calls try once, and succeed when it is back."""
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.0)
    async with Journal.open(address) as journal:
        await journal.add([A])
        lose_commits(carried_out=False, times=2)
        for _ in range(2):
            with pytest.raises(JournalError, match="server runs"):
                await journal.add([B])
        assert 1 == await journal.add([B])


async def test_lost_commit_is_asked_about_though_an_earlier_call_was_given_up(
    address, lose_commits, monkeypatch
):
    """Otherwise its caller would get an error for what may have been committed."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        lost = lose_commits(carried_out=False)
        with monkeypatch.context() as patch:
            patch.setattr(postgres_patience, "PATIENCE_S", 0.0)
            with pytest.raises(JournalError, match="server runs"):
                await journal.add([B])
        lost.clear()
        lose_commits(carried_out=True)
        assert 1 == await journal.add([B])


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("times", [1, 3])
async def test_submit_that_was_given_up_is_not_recorded(
    address, lose_commits, monkeypatch, times, is_known
):
    """Its commit took place, but its caller got an error, and did not send it."""
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.0)
    async with Journal.open(address) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        record = partial(journal.record_submit, endpoint="e", payload_hash="ab")
        own = PendingSubmit(
            track_id="unsent 3", key="key 3", endpoint="e", payload_hash="ab", recorded_at=0.0
        )
        await record("sent", key="key 1")
        lose_commits(carried_out=True, times=times)
        with monkeypatch.context() as patch:
            if not is_known:
                patch.setattr(postgres_patience, "PATIENCE_S", 300.0)
                patch.setattr(postgres_transaction, "_LAST_COMMIT", "SELECT no_such_column")
            results = await asyncio.gather(
                record("unsent 2", key="key 2"),
                journal.leases.record_own(own, run, lease=60),
                return_exceptions=True,
            )
            assert {JournalError} == {type(each) for each in results}
            for _ in range(times - 1):
                with pytest.raises(JournalError):
                    await journal.add([B])
        # A second attempt with the same track_id and key is another row, which stays.
        await record("unsent 2", key="key 2")
        assert 1 == await journal.add([Ticket("images", 3)])
        await journal.leases.end_run(run)
        assert {"sent", "unsent 2"} == {each.track_id for each in await journal.uncertain()}


async def test_submit_that_was_given_up_is_deleted_at_the_end(address, lose_commits, monkeypatch):
    """If no other write follows."""
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.0)
    async with Journal.open(address) as journal:
        await journal.add([A])
        lose_commits(carried_out=True)
        with pytest.raises(JournalError):
            await journal.record_submit("unsent", endpoint="e", payload_hash="ab")
        assert 1 == (await journal.report()).uncertain
    async with Journal.open(address) as journal:
        assert 0 == (await journal.report()).uncertain


async def test_conflict_of_transactions_is_repeated(address, monkeypatch):
    """The server undid it because of another one. The results are those of the last attempt."""
    attempts = []
    add = COUNTERPARTS[tickets.add]

    async def conflicting(db, given, *, now):
        added = await add(db, given, now=now)
        attempts.append(added)
        if len(attempts) < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return added

    monkeypatch.setattr(
        "modelslab_async._journal.postgres_store.COUNTERPARTS",
        {**COUNTERPARTS, tickets.add: conflicting},
    )
    async with Journal.open(address) as journal:
        assert 1 == await journal.add([A])
        assert [1, 1, 1] == attempts
        assert 1 == (await journal.report()).tickets


async def test_calls_share_a_commit(address):
    """A hundred calls at once take a few commits."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        calls = (journal.add([Ticket("video", number)]) for number in range(100))
        assert [1] * 100 == await asyncio.gather(*calls)
        assert 1 <= journal._store._writer._number < 20


async def test_locked_rows_of_a_stalled_process_stop_no_claim(address):
    """A process that stands still in a transaction keeps its rows for that long, and no others."""
    clock = [1000.0]
    async with Journal.open(address, clock=lambda: clock[0]) as journal:
        await journal.add([A, B])
        dead, numbers = await claimed_by(journal)
        connection = await asyncpg.connect(address.rpartition("&batch=")[0])
        schema = postgres_tables.DEFAULT_SCHEMA
        await connection.execute(
            f"BEGIN; SELECT FROM {schema}.unfinished WHERE ticket = {numbers[A]} FOR UPDATE"
        )
        clock[0] += 60
        run = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(run, before_run=run, limit=10, lease=60)
        assert ([B], True) == ([each.ticket for each in claim.tickets], claim.has_others)
        await connection.close()
        claim = await journal.leases.claim(run, before_run=run, limit=10, lease=60)
        assert [A] == [each.ticket for each in claim.tickets]
        assert not await journal.leases.renew(dead, lease=60)


async def test_tickets_that_are_being_claimed_count_as_those_of_others(address):
    """Otherwise a run could end while another process, which may die, is claiming the rest."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        connection = await asyncpg.connect(address.rpartition("&batch=")[0])
        schema = postgres_tables.DEFAULT_SCHEMA
        await connection.execute(f"BEGIN; SELECT FROM {schema}.unfinished FOR UPDATE")
        run = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(run, before_run=run, limit=10, lease=60)
        assert ([], True) == (claim.tickets, claim.has_others)
        await connection.close()


async def test_saves_that_are_being_claimed_count_as_those_of_others(address):
    """Also saves that failed in an earlier run: a run does not end while another claims them."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))], save_files=True)

        async def claim(run):
            given = await journal.leases.claim_saves(run, before_run=run, limit=10, lease=60)
            return [each.row_id for each in given.pending], given.has_others

        connection = await asyncpg.connect(address.rpartition("&batch=")[0])
        lock = f"BEGIN; SELECT FROM {postgres_tables.DEFAULT_SCHEMA}.saves FOR UPDATE"
        await connection.execute(lock)
        assert ([], True) == await claim(run)
        await connection.execute("ROLLBACK")
        assert ([numbers[A]], True) == await claim(run)
        await journal.leases.complete_save(run, numbers[A], error="no room")
        await connection.execute(lock)
        later = await journal.leases.begin_run(lease=60)
        assert ([], True) == await claim(later)
        assert ([], False) == await claim(run)
        await connection.close()
        assert ([numbers[A]], True) == await claim(later)


async def test_claim_that_gets_some_does_not_look_at_other_runs(address, monkeypatch):
    """While another program's transaction is open, it would read all that they have completed."""
    statements = []
    fetch = PostgresSession.fetch

    async def recorded(self, statement, *arguments, **more):
        statements.append(statement)
        return await fetch(self, statement, *arguments, **more)

    monkeypatch.setattr(PostgresSession, "fetch", recorded)
    looks_at_others = (postgres_leases._OTHERS_HAVE_SOME, postgres_save_queue._OTHERS_HAVE_SOME)
    async with Journal.open(address) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))], save_files=True)
        given = await journal.leases.claim_saves(run, before_run=run, limit=10, lease=60)
        assert [numbers[A]] == [each.row_id for each in given.pending]
        assert not {*looks_at_others} & {*statements}
        assert [] == (await journal.leases.claim(run, before_run=run, limit=9, lease=60)).tickets
        given = await journal.leases.claim_saves(run, before_run=run, limit=10, lease=60)
        assert [] == given.pending
        assert {*looks_at_others} <= {*statements}


async def test_empty_claim_reads_no_ticket_of_other_runs(address):
    """It looks for tickets of ended runs, and reads a row for each run that has some."""
    path = f"{address}&schema=claims"
    async with Journal.open(path) as journal:
        runs = [await journal.leases.begin_run(lease=60) for _ in range(3)]
        ended = await journal.leases.begin_run(lease=60)
        await journal.leases.end_run(ended)
    rows = "FROM claims.batches, generate_series(1, 100000) AS number"
    try:
        run_sql(
            path,
            f"INSERT INTO claims.unfinished SELECT number, {runs[0]} + number % 3, batch, 0 {rows}",
            f"INSERT INTO claims.saves SELECT number, {runs[0]} + number % 3, NULL, batch {rows}",
            f"INSERT INTO claims.saves SELECT 100001, {ended}, NULL, batch FROM claims.batches",
        )
        session = PostgresBatch.parse(path).make_session()
        await session.connect()
        ((batch,),) = await session.fetch("SELECT batch FROM batches")
        statement = postgres_leases._ENDED_HOLDERS
        assert [(ended,)] == [tuple(row) for row in await session.fetch(statement, batch)]
        ((plan,),) = await session.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", batch)
        await session.aclose()
        assert rows_read(json.loads(plan)[0]["Plan"]) < 100
    finally:
        run_sql(path, "DROP SCHEMA claims CASCADE")


def rows_read(plan):
    """The rows that a plan read from tables and indexes, with those that it filtered out."""
    below = sum(map(rows_read, plan.get("Plans", ())))
    if "Relation Name" not in plan:
        return below
    seen = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return below + plan["Actual Loops"] * seen


async def test_released_ticket_before_those_of_the_last_claim_is_claimed(address):
    """A run continues its claims behind the last one, and begins again from the first ticket."""
    async with Journal.open(address) as journal:
        await journal.add([Ticket("images", number) for number in range(6)])
        first, _ = await claimed_by(journal, limit=2)
        run, claimed = await claimed_by(journal, limit=2)
        await journal.leases.end_run(first)
        for _ in range(3):
            claim = await journal.leases.claim(run, before_run=run, limit=2, lease=60)
            claimed |= {ticket: number for number, ticket in claim.tickets}
        assert 6 == len(claimed)


async def test_released_save_before_those_of_the_last_claim_is_claimed(address):
    """The same for the tickets whose files are to be saved."""
    async with Journal.open(address) as journal:
        await journal.add([Ticket("images", number) for number in range(6)])
        polled, numbers = await claimed_by(journal)
        outcomes = [OutcomeRow(number, 1, done(ticket)) for ticket, number in numbers.items()]
        await journal.leases.complete(polled, outcomes, save_files=True)
        claimed = []

        async def claim(run):
            given = await journal.leases.claim_saves(run, before_run=run, limit=2, lease=60)
            claimed.extend(each.row_id for each in given.pending)

        first, run = [await journal.leases.begin_run(lease=60) for _ in range(2)]
        await claim(first)
        await claim(run)
        await journal.leases.end_run(first)
        for _ in range(2):
            await claim(run)
        assert {*numbers.values()} == {*claimed}
        assert 8 == len(claimed)


@pytest.mark.parametrize(
    ("module", "index"),
    [(postgres_leases, "unfinished_pkey"), (postgres_save_queue, "unfinished_saves")],
)
async def test_claim_reads_no_rows_that_its_run_has_completed(address, monkeypatch, module, index):
    """Another program's transaction makes the server keep the old versions of all of them."""
    claims = []
    fetch = PostgresSession.fetch

    async def recorded(self, statement, *arguments, **more):
        if statement is module._CLAIM:
            claims.append(arguments)
        return await fetch(self, statement, *arguments, **more)

    monkeypatch.setattr(PostgresSession, "fetch", recorded)
    snapshot = await asyncpg.connect(address.rpartition("&batch=")[0])
    async with Journal.open(address) as journal:
        await journal.add([Ticket("images", number) for number in range(2_000)])
        run = await journal.leases.begin_run(lease=60)
        await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class")
        for _ in range(20):
            claim = await journal.leases.claim(run, before_run=run, limit=100, lease=60)
            outcomes = [OutcomeRow(number, 1, done(ticket)) for number, ticket in claim.tickets]
            await journal.leases.complete(run, outcomes, save_files=True)
            saves = await journal.leases.claim_saves(run, before_run=run, limit=100, lease=60)
            saving = (
                journal.leases.complete_save(run, each.row_id, error=None) for each in saves.pending
            )
            await asyncio.gather(*saving)
    assert 20 <= len(claims)
    connection = await asyncpg.connect(address.rpartition("&batch=")[0])
    await connection.execute(f"SET search_path = {postgres_tables.DEFAULT_SCHEMA}; BEGIN")
    await connection.fetch(module._CLAIM, *claims[-1])
    entries_read = f"SELECT pg_stat_get_xact_tuples_returned('{index}'::regclass)"
    assert await connection.fetchval(entries_read) <= 100
    await connection.close()
    await snapshot.close()


async def test_results_do_not_read_the_list_of_all_open_tickets(address):
    """Whether a run holds the given ticket or not, the index finds it at once."""
    given = [Ticket("images", number) for number in range(10_000)]
    async with Journal.open(address) as journal:
        await journal.add(given)
        for _ in range(3):
            await claimed_by(journal, limit=50)
        assert [] == await journal.leases.results([given[0], given[-1]])
    session = PostgresBatch.parse(address).make_session()
    await session.connect()
    [(batch,)] = await session.fetch("SELECT max(batch) FROM batches")
    for ticket in (given[0], given[-1]):
        await session.run_script("BEGIN")
        await session.fetch(
            postgres_results_of_tickets._SELECT_RESULTS, batch, [ticket.family], [ticket.id]
        )
        [(blocks_read,)] = await session.fetch(
            "SELECT pg_stat_get_xact_blocks_fetched('unfinished_pkey'::regclass)"
        )
        await session.run_script("COMMIT")
        assert blocks_read <= 30
    await session.aclose()


async def test_export_shows_one_moment(address, tmp_path, monkeypatch):
    """Outcomes that are recorded while it reads page after page are not in it."""
    monkeypatch.setattr(exports, "PAGE_SIZE", 1)
    async with Journal.open(address) as journal:
        await journal.add([(A, {"n": 1}), (B, {"m": "x"}), Ticket("images", 3)])
        run, numbers = await claimed_by(journal)
        rows = [OutcomeRow(number, 1, done(ticket)) for ticket, number in numbers.items()]
        await journal.leases.complete(run, rows[:2])
        read_page = postgres_queries.read_page

        async def completing(db, after, limit):
            await journal.leases.complete(run, rows[2:])
            return await read_page(db, after, limit)

        monkeypatch.setattr("modelslab_async._journal.postgres_export.read_page", completing)
        assert 2 == await journal.export(tmp_path / "out.csv")
        assert 3 == (await journal.report()).success
    text = (tmp_path / "out.csv").read_text()
    assert text.startswith("ticket,state")
    assert "n,m\n" in text


async def test_exports_need_no_thread_that_other_work_may_hold(address, tmp_path):
    """Many exports at once could else hold all threads of a program, and wait for another one."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    async with Journal.open(address) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))])
        limiter.total_tokens = 1
        await limiter.acquire_on_behalf_of(journal)
        exports_at_once = [
            asyncio.create_task(journal.export(tmp_path / f"{number}.jsonl")) for number in range(3)
        ]
        _, waiting = await asyncio.wait(exports_at_once, timeout=300)
        limiter.total_tokens = 40
        assert [1, 1, 1] == await asyncio.gather(*exports_at_once)
    assert set() == waiting


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.ETIMEDOUT, errno.ECONNRESET])
async def test_export_that_cannot_write_its_file_is_not_tried_again(
    address, tmp_path, monkeypatch, code
):
    """A file on a network drive may fail as a connection does, but the database is not away."""
    opened = []

    def fail(*_, **__):
        opened.append(code)
        raise OSError(code, os.strerror(code))

    async with Journal.open(address) as journal:
        await journal.add([A])
        with monkeypatch.context() as patch:
            patch.setattr(postgres_patience, "PATIENCE_S", 0.0)
            patch.setattr(Path, "open", fail)
            with pytest.raises(OSError, match=re.escape(os.strerror(code))) as caught:
                await journal.export(tmp_path / "out.csv")
        assert (code, 1) == (caught.value.errno, len(opened))
        assert [] == [*tmp_path.iterdir()]
        assert 0 == await journal.export(tmp_path / "out.csv")


@pytest.mark.parametrize("step", ["BEGIN ISOLATION", "SELECT tickets.ticket"])
async def test_export_that_loses_the_connection_is_tried_again(
    address, tmp_path, monkeypatch, step
):
    """From the start, so that the file shows one moment."""
    lost = []

    def losing(method):
        async def lose(self, statement, *arguments, **more):
            if step in statement and not lost:
                lost.append(statement)
                raise ConnectionResetError("connection lost")
            return await method(self, statement, *arguments, **more)

        return lose

    async with Journal.open(address) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))])
        for name in ("fetch", "run_script"):
            monkeypatch.setattr(PostgresSession, name, losing(getattr(PostgresSession, name)))
        assert 1 == await journal.export(tmp_path / "out.csv")
    assert 1 == len(lost)


async def test_damaged_reply_is_an_error_that_names_the_ticket(address, tmp_path):
    """As in a file. The error of an export names the journal, too."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))])
        run_sql(address, f"UPDATE replies SET body = '{{cut' WHERE ticket = {numbers[A]}")
        with pytest.raises(JournalError, match="images:1 makes no sense") as caught:
            await journal.last(A)
        assert journal.path == caught.value.path
        with pytest.raises(JournalError, match="images:1 makes no sense") as caught:
            await journal.export(tmp_path / "out.csv")
        assert (A, journal.path) == (caught.value.ticket, caught.value.path)
    assert {"images:1": "success"} == states(address)


@pytest.mark.parametrize("is_unresolved", [False, True])
async def test_documented_statements_reopen_a_damaged_ticket_alone(address, is_unresolved):
    """A ticket of another family with the same id keeps its outcome."""
    of_other_family = Ticket("voice", A.id)
    async with Journal.open(address) as journal:
        await journal.add([A, of_other_family])
        run, numbers = await claimed_by(journal)
        unresolved = Unresolved(ticket=A, cause=ModelsLabError("the network is down"))
        outcome = unresolved if is_unresolved else done(A)
        await journal.leases.complete(
            run,
            [
                OutcomeRow(numbers[A], 1, outcome),
                OutcomeRow(numbers[of_other_family], 1, done(of_other_family)),
            ],
        )
        columns = "body = '{cut', other_fields = '{cut'"
        run_sql(address, f"UPDATE replies SET {columns} WHERE ticket = {numbers[A]}")
        with pytest.raises(JournalDamaged):
            await journal.last(A)
        [script] = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        name = PostgresBatch.parse(address).name
        run_script(address, script.replace("'cats'", f"'{name}'").replace("'101'", f"'{A.id}'"))
        assert (1, 1) == ((await journal.report()).open, (await journal.report()).success)
        assert await journal.last(A) is None
        assert done(of_other_family) == await journal.last(of_other_family)
        run, numbers = await claimed_by(journal)
        assert [A] == [*numbers]
        assert [True] == await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, done(A))])


async def test_text_that_the_database_cannot_store_is_refused_alone(address):
    """Other calls of the same commit succeed."""
    async with Journal.open(address) as journal:
        results = await asyncio.gather(
            journal.add([A]),
            journal.record_submit("a\0b", endpoint="e", payload_hash="ab"),
            journal.add([B]),
            return_exceptions=True,
        )
        assert (1, 1) == (results[0], results[2])
        assert isinstance(results[1], (ValueError, JournalError))


async def test_large_outcomes_are_divided_among_statements(address, monkeypatch):
    """No statement takes so many bytes that a slow network exceeds its timeout."""
    sizes = []
    fetch = PostgresSession.fetch

    async def measuring(self, statement, *arguments, timeout=None):
        columns = [each for each in arguments if isinstance(each, list)]
        sizes.append(sum(len(each) for column in columns for each in column if str is type(each)))
        return await fetch(self, statement, *arguments, timeout=timeout)

    monkeypatch.setattr(PostgresSession, "fetch", measuring)
    given = [Ticket("images", number) for number in range(20)]
    text = "x" * 1_000_000
    async with Journal.open(address) as journal:
        assert 20 == await journal.add([(ticket, {"text": text}) for ticket in given])
        run, numbers = await claimed_by(journal, limit=20)
        running = Processing(ticket=A, raw={"status": "processing", "text": text})
        await journal.leases.record_polls(
            run, [tickets.PollUpdate(number, 2, running) for number in numbers.values()]
        )
        rows = [
            OutcomeRow(numbers[ticket], 1, Success(ticket=ticket, output=(), raw={"text": text}))
            for ticket in given
        ]
        other = OutcomeRow(max(numbers.values()) + 1, 1, rows[0].outcome)
        expected = [*[True] * 10, False, *[True] * 10]
        assert expected == await journal.leases.complete(run, [*rows[:10], other, *rows[10:]])
        assert [False] == await journal.leases.complete(run, rows[:1])
        report = await journal.report()
    assert 9_000_000 > max(sizes) > 7_000_000
    assert 60_000_000 < sum(sizes)
    assert (20, 60) == (report.success, report.polls)


async def test_export_reads_large_texts_in_small_pages(address, tmp_path, monkeypatch):
    """Neither rows of the input table nor outcomes come in one large statement."""
    sizes = []
    fetch = PostgresSession.fetch

    async def measuring(self, *arguments, **options):
        rows = await fetch(self, *arguments, **options)
        sizes.append(sum(len(each) for row in rows for each in row if isinstance(each, str)))
        return rows

    text = "x" * 1_000_000
    given = [Ticket("images", number) for number in range(30)]
    async with Journal.open(address) as journal:
        await journal.add([(ticket, {"text": text}) for ticket in given])
        run, numbers = await claimed_by(journal, limit=30)
        rows = [OutcomeRow(number, 1, done(ticket)) for ticket, number in numbers.items()]
        await journal.leases.complete(run, rows)
        monkeypatch.setattr(PostgresSession, "fetch", measuring)
        assert 30 == await journal.export(tmp_path / "out.csv")
    assert 60_000_000 < sum(sizes)
    assert 10_000_000 > max(sizes)


async def test_no_statement_of_a_run_scans_a_table(address):
    """Without statistics, and though the plans were made while the tables were empty."""
    seen = []
    fetch = PostgresSession.fetch

    async def recording(self, statement, *arguments, timeout=None):
        seen.append((self, statement, arguments))
        return await fetch(self, statement, *arguments, timeout=timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresSession, "fetch", recording)
        async with Journal.open(address) as journal:
            await journal.add([(A, {"n": 1}), B])
            run, numbers = await claimed_by(journal)
            row = OutcomeRow(numbers[A], 1, done(A))
            await journal.leases.complete(run, [row], save_files=True)
            await journal.leases.claim_saves(run, before_run=run, limit=1, lease=60)
            await journal.leases.end_run(run, [tickets.PollUpdate(numbers[B], 1, None)])
            await journal.leases.results([A])
            await journal._store.read(queries.outcome_page, 0, 10)
            session = PostgresBatch.parse(address).make_session()
            await session.connect()
            for _, statement, arguments in [*seen]:
                if "unfinished" in statement or "replies" in statement:
                    plan = await fetch(session, f"EXPLAIN {statement}", *arguments)
                    text = "\n".join(line for (line,) in plan)
                    assert "Seq Scan" not in text, f"{statement}\n{text}"
            await session.aclose()


async def test_message_with_nul_is_counted(path, clock):
    """PostgreSQL cannot read such a text as JSON, but the report does not need to."""
    failed = Failed(ticket=A, message="bad \0 file", reason="not_found", raw={"status": "error"})
    async with Journal.open(path, clock=clock) as journal:
        await journal.add([A])
        run, numbers = await claimed_by(journal)
        await journal.leases.complete(run, [OutcomeRow(numbers[A], 1, failed, None)])
        report = await journal.report()
        assert (1, 1) == (report.failed, report.not_found)
        assert failed == await journal.last(A)


@pytest.mark.parametrize("path", ["postgres"], indirect=True)
async def test_text_that_cannot_be_stored_is_an_error_of_the_caller(path):
    """It names no outage, so that it ends one ticket and not the run."""
    async with Journal.open(path) as journal:
        with pytest.raises(ValueError, match="0x00"):
            await journal.record_submit("a\0b", endpoint="images/text2img", payload_hash="1")
        await journal.record_submit("ab", endpoint="images/text2img", payload_hash="1")
        assert 1 == len(await journal.uncertain())
