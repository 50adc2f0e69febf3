"""The permits that an account stores: few at any rate, and found without reading all of them."""

import json
import sqlite3

import asyncpg
import pytest

from modelslab_async._account.postgres_account import PostgresAccount
from modelslab_async._account.report_and_answer_types import PollResult
from modelslab_async._account.sqlite_account import SQLiteAccount
from modelslab_async._account.sqlite_poll_times import PollTimesOfKey
from modelslab_async._account.sqlite_tables import prepare_tables

from .conftest import KEY_DIGEST
from .stores import PostgresStore

WANTED = 20


def count_sqlite_steps(rate):
    """Return the number of steps in SQLite for 20 results and 20 grants. All permits are stored."""
    steps = []
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare_tables(db, ":memory:")
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
        "INSERT INTO poll_permits SELECT ?, i, 1, i, i, i FROM n",
        (rate, KEY_DIGEST),
    )
    poll_times = PollTimesOfKey(db, KEY_DIGEST, 1, rate, rate + 100.0)
    db.set_progress_handler(lambda: steps.append(1), 1)
    poll_times.record([PollResult(float(granted), None) for granted in range(WANTED)])
    assert WANTED == len(poll_times.take(WANTED))
    db.close()
    return len(steps)


def test_high_rate_costs_sqlite_few_more_steps():
    """The work for a poll hardly depends on the rate."""
    assert count_sqlite_steps(100_000) <= 2 * count_sqlite_steps(200)


async def count_postgres_rows(connection):
    """Return the number of permits that PostgreSQL reads for 20 results and 20 grants."""
    # The count may include earlier transactions. The server resets it only between transactions.
    count = (
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
        "WHERE relid = 'poll_permits'::regclass"
    )
    results = json.dumps([(granted, None) for granted in range(WANTED)])
    async with connection.transaction():
        before = await connection.fetchval(count)
        await connection.execute("SELECT record_poll_results($1, 1, $2)", KEY_DIGEST, results)
        times = await connection.fetchval(
            "SELECT take_poll_times($1, 1, 1e6, 100000, $2)", KEY_DIGEST, WANTED
        )
        assert WANTED == len(json.loads(times))
        return await connection.fetchval(count) - before


async def test_high_rate_costs_postgres_few_more_rows(postgres):
    """A connection that planned its queries for an empty table reads few rows of a large one."""
    store = PostgresStore(postgres.address)
    store.account(rate=100_000)
    connection = await asyncpg.connect(postgres.address)
    try:
        await connection.execute(f'SET search_path = "{store.schema}"')
        # A connection plans a query anew for the first five times.
        for _ in range(8):
            await count_postgres_rows(connection)
        await connection.execute("DELETE FROM poll_permits")
        await connection.execute(
            "INSERT INTO poll_permits SELECT $1, n, 1, n, n, n FROM generate_series(0, 99999) n",
            KEY_DIGEST,
        )
        # Each result and each grant finds its permit, and the grants were searched for before.
        rows = await count_postgres_rows(connection)
        assert rows <= 5 * WANTED
    finally:
        await connection.close()
        await store.aclose()


def test_postgres_does_not_compile_the_queries_of_an_exchange(postgres):
    """Compiling a query that only looks expensive takes longer than running it."""
    store = PostgresStore(postgres.address)
    store.account(rate=1)
    settings = store.run(
        "SELECT array_to_string(proconfig, ' ') FROM pg_proc "
        f"WHERE pronamespace = '\"{store.schema}\"'::regnamespace"
    )
    forced = [each for (each,) in settings if each and "enable_" in each]
    assert forced
    assert all("jit=off" in each for each in forced)
    store.run(f'DROP SCHEMA "{store.schema}" CASCADE')


async def count_permit_rows(store):
    """Return the number of permits that an account stores."""
    ((count,),) = store.run("SELECT count(*) FROM poll_permits")
    return count


async def test_account_stores_only_permits_that_were_needed(members, store, clock):
    """A poll is granted a permit that has rested, where there is one."""
    (member,) = members(1, rate=100_000)
    for _ in range(3):
        assert 5 == len((await member.report(polls_wanted=5)).poll_times)
        clock.now += 2.0
    assert 5 == await count_permit_rows(store)


async def test_surplus_permits_are_removed_after_the_rate_was_lowered(members, store, clock):
    """They are removed only after they have rested, so that they rest if the rate is raised."""
    (member,) = members(1, rate=20)
    times = (await member.report(polls_wanted=5)).poll_times
    await member.report(poll_results=tuple(PollResult(granted, granted) for granted in times))
    await member.leave()
    (member,) = members(1, rate=2)
    (granted,) = (await member.report(polls_wanted=1)).poll_times
    assert 5 == await count_permit_rows(store)
    clock.now += 3.0
    await member.report(polls_wanted=1, poll_results=(PollResult(granted, granted),))
    assert 2 == await count_permit_rows(store)
    await member.leave()
    (member,) = members(1, rate=20)
    # One permit is open, because its client did not report its end. One is free, three are new.
    assert 4 == len((await member.report(polls_wanted=4)).poll_times)
    assert 5 == await count_permit_rows(store)


@pytest.mark.parametrize("rate", [2**31, 1e300])
def test_rate_that_no_store_can_number_is_refused(path, rate):
    """PostgreSQL numbers permits with 32 bits, and both stores take the same rates."""
    with pytest.raises(ValueError, match="rate is at most 2147483647 polls a second, got"):
        SQLiteAccount(path, rate=rate)
    with pytest.raises(ValueError, match="give None for no limit"):
        PostgresAccount("postgresql://127.0.0.1:1/db", rate=rate)


async def test_highest_rate_grants_poll_times(members):
    """A rate may mean that there is no limit in fact."""
    (member,) = members(1, rate=2**31 - 1)
    assert 5 == len((await member.report(polls_wanted=5)).poll_times)
