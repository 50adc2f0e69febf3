"""An account in PostgreSQL: replies that are lost, a server that dies, rights, and the password."""

import asyncio
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from postgres_server import PostgresServer

from modelslab_async import AccountError, Client, PostgresAccount, Ticket, WrongAccount
from modelslab_async._account.postgres_connection import PostgresConnection
from modelslab_async._account.report_and_answer_types import KeyReport, SlotUse
from modelslab_async._parsing.webhook_ids import WebhookHint
from modelslab_async._postgres.postgres_address import passwords
from modelslab_async.emulator import Emulator, Jobs, run_server

from .conftest import KEY_DIGEST
from .stores import ManualClock, PostgresStore

KEY = "a-test-key-1234"
PASSWORD = "a-secret-password"


@pytest.fixture
async def store(postgres):
    store = PostgresStore(postgres.address)
    yield store
    await store.aclose()


def lose_replies(membership, count):
    """Let the next exchanges reach the server, and none of their replies reach the client."""
    connection = membership._connection
    fetch_json = connection.fetch_json

    async def fetch_and_lose(*arguments):
        nonlocal count
        reply = await fetch_json(*arguments)
        if not count:
            return reply
        count -= 1
        raise AccountError("the reply was lost")

    connection.fetch_json = fetch_and_lose


async def test_ticket_that_was_handed_over_in_a_lost_reply_keeps_its_slot(members):
    """The heir did not hear of the ticket, so it hears of it in the next reply."""
    gone, (heir, third) = members(1, queue=1)[0], members(2, queue=1)
    await gone.report(waiting=1)
    gone.submitted(7)
    await gone.leave()
    lose_replies(heir.membership, 2)
    for _ in range(2):
        with pytest.raises(AccountError, match="lost"):
            await heir.report(waiting=1)
    await third.report(waiting=1)
    assert ([], 0) == (third.tickets, third.in_flight)
    await heir.report(waiting=0)
    assert [Ticket("images", 7)] == heir.tickets
    await heir.report()
    assert [Ticket("images", 7)] == heir.tickets, "it was handed over twice"
    heir.tickets.clear()
    await heir.report()
    await third.report(waiting=1)
    assert 1 == third.in_flight


async def test_slot_that_was_granted_in_a_lost_reply_is_granted_again(members):
    """The client reports that nothing is in flight, so the slot is free."""
    (member,) = members(1, queue=1)
    lose_replies(member.membership, 1)
    with pytest.raises(AccountError):
        await member.report(waiting=1)
    await member.report(waiting=1)
    assert 1 == member.in_flight


async def test_exchange_that_comes_late_changes_nothing(members):
    """The network held back an exchange, and a later one has come first."""
    member, other = members(2, queue=1)
    await member.report(waiting=1)
    member.submitted(7)
    await member.report()
    late = {KEY_DIGEST: KeyReport(slots=SlotUse())}
    member.membership._number -= 1
    with pytest.raises(AccountError, match="a later exchange"):
        await member.membership.exchange(late)
    await other.report(waiting=1)
    assert 0 == other.in_flight
    await member.report()
    member.tickets.clear()
    await member.report()
    await other.report(waiting=1)
    assert 1 == other.in_flight


async def test_clock_of_the_server_that_is_set_back_holds_up_nothing(members, clock):
    """Poll times and pauses move with it, and so does what a client waits for."""
    member, other = members(2, rate=10, queue=1)
    clock.now = 500_000.0
    await member.report(waiting=1, polls_wanted=5)
    member.submitted(3)
    await member.report()
    clock.now = 20.0
    allotment = await other.report(waiting=1, polls_wanted=1)
    assert 20.0 <= allotment.poll_times[0] <= 21.0
    assert 0 == other.in_flight
    clock.now += 25.0
    await member.report()
    assert [] == other.tickets, "a client that lives lost its ticket"


async def test_clock_of_the_server_that_is_set_forward_breaks_no_limit(members, clock):
    """The submit of a client that counts as dead for now keeps its slot, and so does its ticket."""
    member, other = members(2, queue=2)
    await member.report(waiting=2)
    member.submitted(3)
    await member.report()
    clock.now += 3000.0
    await other.report(waiting=2)
    await member.report()
    await other.report(waiting=2)
    assert 0 == other.in_flight
    assert 1 == member.in_flight


async def test_reply_that_cannot_be_read_loses_no_ticket(members, store):
    """It handed over a damaged ticket and a good one. The good one comes again."""
    gone, heir = members(2, queue=1)
    await gone.report(waiting=1)
    gone.submitted(7)
    await gone.leave()
    store.run(f"INSERT INTO held_tickets VALUES ('{KEY_DIGEST}', '', '', 1, '', 0, 0)")
    with pytest.raises(ValueError, match="family"):
        await heir.report(waiting=1)
    store.run("DELETE FROM held_tickets WHERE family = ''")
    await heir.report()
    assert [Ticket("images", 7)] == heir.tickets


async def test_server_that_is_killed_keeps_all_slots(caplog):
    """While it is down no submit starts. Afterwards the slots are those that were in use."""
    with PostgresServer.running() as server:
        # The first job lasts until the server is up again.
        clock = ManualClock()
        emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(1.0, 1.0)), clock=clock)
        account = PostgresAccount(server.address, queue=1)
        async with run_server(emulator) as url, Client(KEY, base_url=url, account=account) as one:
            await one.submit("realtime/text2img", prompt="a fox")
            stored = PostgresStore(server.address, "modelslab_async")
            while not stored.run("SELECT id FROM held_tickets"):  # noqa: ASYNC110 -- no event.
                await asyncio.sleep(0.01)
            server.stop("immediate")
            async with Client(KEY, base_url=url, account=account) as other:
                with caplog.at_level(logging.WARNING, logger="modelslab_async"):
                    task = asyncio.create_task(other.submit("realtime/text2img", prompt="a hare"))
                    while not caplog.records:  # noqa: ASYNC110 -- a log has no event.
                        await asyncio.sleep(0.01)
                assert 1 == len(emulator.submits)
                server.start()
                clock.now += 1.0
                await task
        assert 2 == len(emulator.submits)
        assert all(submit.ticket is not None for submit in emulator.submits), "a submit drew a 429"
    assert PASSWORD not in caplog.text


def test_password_is_never_shown(store):
    """Neither by the account and its parts, nor by errors."""
    account = store.account()
    membership = account.make_membership()
    shown = [repr(account), account.address, repr(membership._connection), repr(membership)]
    address = store.address.replace("host=/", "host=/nowhere/")
    for wrong in (address, address.replace("@/", "@127.0.0.1:1/").partition("?")[0]):
        with pytest.raises(AccountError) as caught:
            PostgresAccount(wrong)
        error = caught.value
        assert error.__context__ is None
        shown += [str(error), repr(error), error.path]
    assert all(PASSWORD not in text for text in shown), shown
    assert "postgresql:///postgres" == account.address


@pytest.mark.parametrize(
    "address",
    [
        "mysql://user:a-secret-password@host/db",
        "postgresql:host",
        "user:a-secret-password@host",
        "postgresql://user:12/a-secret-password@host/db",
        "postgresql://user:12?a-secret-password@host/db",
        "postgresql://user:12#a-secret-password@host/db",
        "postgresql://user:a-secret-password/x@host/db",
        "postgresql://[a-secret-password@host/db",
    ],
)
def test_malformed_address_is_refused_and_not_repeated(address):
    """A password with special characters must not be taken for a host or a database."""
    with pytest.raises(ValueError, match="percent-encode") as caught:
        PostgresAccount(address)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None


def test_value_that_is_no_address_is_refused():
    """The error names the type, and not the value."""
    with pytest.raises(TypeError, match="got a value of type bytes"):
        PostgresAccount(b"postgresql://user:a-secret-password@host/db")


def test_password_in_a_setting_is_hidden(postgres):
    """A server that repeats the password in its error does not get it shown."""
    account = f"postgresql://tests@/{PASSWORD}?host={postgres.folder}&password={PASSWORD}"
    with pytest.raises(AccountError) as caught:
        PostgresAccount(account)
    assert '"***" does not exist' in caught.value.message


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@127.0.0.1:9/db?target_session_attrs=a-secret-password",
        "postgresql://u:a-secret-password@127.0.0.1:99999/db",
        "postgresql://u:a-secret-password@a..b/db",
    ],
)
def test_setting_that_the_driver_refuses_is_an_account_error(address):
    """The message says what is wrong, and repeats no value, which may be in a wrong place."""
    with pytest.raises(AccountError, match="a part of the address or a PG") as caught:
        PostgresAccount(address)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None


async def test_connection_that_ends_at_a_bad_moment_is_named_as_that(store):
    """The driver then raises `InternalClientError`, as if it had a defect."""
    connection = store.account().make_membership()._connection

    class Ended:
        async def fetch(self, *_arguments, **_options):
            raise asyncpg.InternalClientError("cannot switch to state 12")

        def terminate(self):
            pass

    connection._open = Ended()
    with pytest.raises(AccountError, match="ended the connection"):
        await connection.fetch("SELECT 1")


async def test_role_with_the_least_rights_is_enough(store):
    """A role that may use the schema and change its rows can do all that a client does."""
    store.account(queue=1)
    schema = f'"{store.schema}"'
    role = f"app_{store.schema.rpartition(' ')[2]}"
    store.run(f"CREATE ROLE {role} LOGIN")
    address = store.address.replace("tests:", f"{role}:")
    try:
        with pytest.raises(AccountError, match="permission denied"):
            PostgresAccount(address, schema=store.schema)
        store.run(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        store.run(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
        )
        account = PostgresAccount(address, schema=store.schema, queue=1)
        membership = account.make_membership()
        reports = {KEY_DIGEST: KeyReport(slots=SlotUse(waiting=1))}
        assert 1 == (await membership.exchange(reports))[KEY_DIGEST].slot_limit
        await membership.leave({})
    finally:
        store.run(f"DROP OWNED BY {role}")
        store.run(f"DROP ROLE {role}")


def test_accounts_that_are_made_at_once_share_one_schema(store):
    """Eight threads create it at the same time."""
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(store.account, queue=3) for _ in range(8)]
        assert {3} == {each.result().queue for each in made}
    assert [(3,)] == store.run("SELECT queue FROM account")


def test_schema_of_another_program_is_left_as_it_is(store):
    """It has a table of the same name with other columns, or an account of a newer version."""
    store.account()
    store.run("UPDATE account SET version = 99")
    with pytest.raises(WrongAccount, match="version 99"):
        store.account()
    assert [(99,)] == store.run("SELECT version FROM account")


def test_account_that_was_migrated_meanwhile_keeps_its_version(store, monkeypatch):
    """A newer library migrates the account after this one has read the older version."""
    store.account()
    store.run("UPDATE account SET version = 4")
    run_script = PostgresConnection.run_script

    async def run_after_migration(connection, statements):
        store.run("UPDATE account SET version = 99")
        store.run("DROP FUNCTION tell_of_slots")
        await run_script(connection, statements)

    monkeypatch.setattr(PostgresConnection, "run_script", run_after_migration)
    with pytest.raises(WrongAccount, match="version 99"):
        store.account()
    assert [(99,)] == store.run("SELECT version FROM account")
    functions = f"SELECT 1 FROM pg_proc WHERE pronamespace = '\"{store.schema}\"'::regnamespace"
    assert not store.run(f"{functions} AND proname = 'tell_of_slots'"), "an old function came back"


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_account_of_an_older_version_is_brought_up_to_date(store, version):
    """It gets the functions, the table and the indexes that it lacks, for the same roles."""
    store.account()
    store.run(f"UPDATE account SET version = {version}")
    store.run("DROP FUNCTION tell_of_slots")
    if version == 3:
        store.run("DROP INDEX poll_permits_by_latest_start, poll_permits_by_granted")
        store.run("GRANT SELECT, UPDATE ON poll_permits TO PUBLIC")
    elif version < 3:
        store.run("DROP TABLE poll_permits")
    store.run("GRANT SELECT, UPDATE ON poll_times TO PUBLIC")
    store.account()
    indexes = f"SELECT 1 FROM pg_indexes WHERE schemaname = '{store.schema}' AND indexname ~ "
    assert 2 == len(store.run(f"{indexes} '^poll_permits_by_'"))
    assert [(5,)] == store.run("SELECT version FROM account")
    rights = (
        "SELECT grantee, privilege_type FROM information_schema.table_privileges "
        f"WHERE table_schema = '{store.schema}' AND table_name = "
    )
    assert set(store.run(f"{rights} 'poll_times'")) == set(store.run(f"{rights} 'poll_permits'"))
    assert ("PUBLIC", "UPDATE") in store.run(f"{rights} 'poll_permits'")
    names = f"SELECT 1 FROM pg_proc WHERE pronamespace = '\"{store.schema}\"'::regnamespace"
    assert [(1,)] == store.run(f"{names} AND proname = 'tell_of_slots'")


async def listening(account):
    """A membership that counts the news."""
    membership, news = account.make_membership(), asyncio.Semaphore(0)
    membership.call_on_news(news.release)
    return membership, news


async def test_freed_slot_is_told_to_the_client_whose_turn_it_is(store):
    """Another one that waits for less long is not told, and none needs to ask."""
    account = store.account(queue=1)
    holder = account.make_membership()
    waits = {KEY_DIGEST: KeyReport(slots=SlotUse(waiting=1))}
    assert 1 == (await holder.exchange(waits))[KEY_DIGEST].slot_limit
    in_flight = {KEY_DIGEST: KeyReport(slots=SlotUse(in_flight=1))}
    first, first_news = await listening(account)
    second, second_news = await listening(account)
    store.run(
        "CREATE OR REPLACE FUNCTION store_time() RETURNS float8 LANGUAGE sql AS $$ SELECT 5.0 $$"
    )
    await holder.exchange(in_flight)
    for number, waiter in enumerate((first, second)):
        assert 0 == (await waiter.exchange(waits))[KEY_DIGEST].slot_limit
        store.run(f"UPDATE submitting SET granted_at = {number} WHERE client = {waiter._client}")
    await holder.exchange({KEY_DIGEST: KeyReport()})
    async with asyncio.timeout(300.0):
        await first_news.acquire()
    assert 1 == (await first.exchange(waits))[KEY_DIGEST].slot_limit
    assert 0 == (await second.exchange(waits))[KEY_DIGEST].slot_limit
    assert second_news.locked()
    assert second.waiting_interval_s > 0.1
    for member in (holder, first, second):
        await member.leave({})


async def test_webhook_is_told_to_the_other_clients(store):
    """They read it at once."""
    account = store.account()
    giver, other = account.make_membership(), account.make_membership()
    news = asyncio.Event()
    other.call_on_news(news.set)
    await other.exchange({})
    hint = WebhookHint(("7",), "")
    await giver.share_hints([hint])
    async with asyncio.timeout(300.0):
        await news.wait()
    assert [hint] == await other.share_hints([])
    for member in (giver, other):
        await member.leave({})


async def test_client_behind_a_pooler_asks_and_warns_once(store, caplog, monkeypatch):
    """A pooler shows the number of a process that is not the server's."""
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: 0)
    membership, _ = await listening(store.account())
    for _ in range(2):
        await membership.exchange({})
        await membership._connection.aclose()
    assert 1 == caplog.text.count("through a pooler")
    assert PASSWORD not in caplog.text
    assert membership.waiting_interval_s < 0.1
    await membership.leave({})


def test_tables_of_another_program_are_left_as_they_are(store):
    """The tables of the account are created together or not at all."""
    store.run(f'CREATE SCHEMA "{store.schema}"')
    store.run("CREATE TABLE IF NOT EXISTS pauses (song text)")
    with pytest.raises(AccountError, match="already exists"):
        store.account()
    tables = f"SELECT tablename FROM pg_tables WHERE schemaname = '{store.schema}'"
    assert [("pauses",)] == store.run(tables)


@pytest.mark.parametrize("name", ["password", "sslpassword"])
def test_passwords_among_the_settings_of_an_address_are_known(name):
    """They are cut out of the errors of the server and of its driver."""
    address = f"postgresql://user:first@host/db?{name}=a%2Fsecond"
    assert {"first", "a/second", "a%2Fsecond"} == passwords(address)


def test_missing_asyncpg_is_named(monkeypatch):
    """The error says which extra to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "modelslab-async\[postgres\]"'):
        PostgresAccount("postgresql://host/db")


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"rate": 0}, ValueError), ({"queue": 0}, ValueError), ({"schema": 1}, TypeError)],
)
def test_wrong_arguments_are_refused(limits, error):
    """They are checked before the server is asked."""
    with pytest.raises(error):
        PostgresAccount("postgresql://127.0.0.1:1/db", **limits)


async def test_exchange_is_on_disk_before_its_reply(store):
    """A server may be set up to answer first. Then slots could be forgotten in a crash."""
    account = store.account(queue=1)
    store.run(f'CREATE TABLE "{store.schema}".level (name text)')
    store.run(
        f'CREATE FUNCTION "{store.schema}".seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN '
        f"INSERT INTO \"{store.schema}\".level VALUES (current_setting('synchronous_commit')); "
        "RETURN NULL; END $$"
    )
    store.run(
        f'CREATE TRIGGER seen AFTER INSERT ON "{store.schema}".clients '
        f'EXECUTE FUNCTION "{store.schema}".seen()'
    )
    membership = account.make_membership()
    connection = await asyncpg.connect(store.address, server_settings={"synchronous_commit": "off"})
    membership._connection._open = connection
    await membership.exchange({})
    assert [("on",)] == store.run("SELECT * FROM level")
    assert "off" == await connection.fetchval("SHOW synchronous_commit")
    await membership.leave({})
