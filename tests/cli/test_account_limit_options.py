"""`--account`, `--rate` and `--queue`: commands that share what one key may do."""

import sqlite3
from contextlib import closing

import pytest
from journal_states import run_sql

from modelslab_async import PostgresAccount, SQLiteAccount
from modelslab_async._cli.account_limit_options import AccountLimits
from modelslab_async._journal.process_identity import this_process
from modelslab_async.emulator import Emulator, Jobs

from .conftest import Program
from .test_generate import TEXT2IMG, resume_command

GENERATE = ("generate", TEXT2IMG, "--prompt", "a lighthouse", "--allow-private", "--json")


def limits_of(path):
    """The limits in the file of an account."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT rate, queue FROM limits").fetchone()


@pytest.mark.parametrize("command", ["generate", "batch submit"])
def test_commands_share_the_slots(serving, tmp_path, command):
    """The second command polls the ticket of the first, and submits once its slot is free."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(1.0, 1.0)))
    shared = ("--account", str(tmp_path / "account.db"), "--queue", "1")
    out = ("--out", str(tmp_path / "out"))
    table = tmp_path / "prompts.txt"
    table.write_text("a harbour\n")
    submitting = {
        "generate": (*GENERATE, *out),
        "batch submit": (
            *("batch", "submit", str(table), "--endpoint", TEXT2IMG, "--quiet"),
            *("--journal", str(tmp_path / "batch.db"), "--allow-private", *out),
        ),
    }
    with serving(emulator) as url:
        program = Program(url)
        first = program(*GENERATE, *shared, *out, "--timeout", "0")
        assert 7 == first.returncode, first.stderr
        ticket = str(emulator.submits[0].ticket)
        polls_of_first = emulator.polls[ticket]
        second = program(*submitting[command], *shared)
    assert 0 == second.returncode, second.stderr
    assert 2 == len(emulator.submits)
    assert all(submit.ticket is not None for submit in emulator.submits), "a submit drew a 429"
    assert emulator.polls[ticket] > polls_of_first, "the second command did not poll the ticket"


@pytest.fixture
def opened(tmp_path):
    """The file of an account that another process has open, with limits of its own."""
    path = tmp_path / "account.db"
    SQLiteAccount(path, rate=100, queue=10)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # However long a command takes to start, this client does not count as dead.
        db.execute("INSERT INTO clients VALUES (1, 9e9, ?)", (this_process(),))
    return path


@pytest.fixture
def opened_meanwhile(tmp_path):
    """The file of an account that another process opens after a command has opened it."""
    path = tmp_path / "account.db"
    SQLiteAccount(path, rate=100, queue=10)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER opened AFTER INSERT ON limits BEGIN "
            f"INSERT OR IGNORE INTO clients VALUES (1, 9e9, '{this_process()}'); "
            "UPDATE limits SET rate = 100, queue = 10; END"
        )
    return path


@pytest.mark.parametrize("when", ["opened", "opened_meanwhile"])
@pytest.mark.parametrize(
    "command",
    [
        ("wait", "images:1"),
        ("download", "images:1"),
        ("batch", "run", "IDS"),
        ("batch", "submit", "IDS", "--endpoint", TEXT2IMG),
        GENERATE,
    ],
)
def test_other_limits_are_refused(program, emulator, request, when, command):
    """A process has the account open with other limits. The message names both."""
    opened = request.getfixturevalue(when)
    tmp_path = opened.parent
    (tmp_path / "ids.txt").write_text("images:1\n")
    words = [word.replace("IDS", str(tmp_path / "ids.txt")) for word in command]
    if "run" not in command and "wait" not in command:
        words += ("--out", str(tmp_path))
    if command[0] == "batch":
        words += ("--journal", str(tmp_path / "batch.db"))
    before = len(emulator.submits), emulator.polls.total()
    run = program(*words, "--account", str(opened), "--rate", "50")
    assert 2 == run.returncode, run.stderr
    assert "rate=100 and queue=10" in run.stderr
    assert "got rate=50.0 and queue=5" in run.stderr
    assert "--rate and --queue set the limits of this command" in run.stderr
    assert before == (len(emulator.submits), emulator.polls.total())


def test_queue_larger_than_any_account_takes_is_refused(program, tmp_path):
    """The message says which numbers are allowed, and no account is made."""
    account = tmp_path / "new.db"
    run = program("wait", "images:1", "--account", str(account), "--queue", str(2**63))
    assert 2 == run.returncode
    assert "is not in the range 1<=x<=2147483647" in " ".join(run.stderr.split())
    assert not account.exists()


def test_same_limits_are_taken(program, emulator, opened):
    """A wait shares the poll rate of an account that another process has open."""
    ticket = emulator.add_job("images:770001")
    limits = ("--rate", "100", "--queue", "10")
    run = program("wait", str(ticket), "--account", str(opened), *limits)
    assert 0 == run.returncode, run.stderr
    assert (100, 10) == limits_of(opened)
    with closing(sqlite3.connect(opened)) as db:
        assert 1 == db.execute("SELECT count(*) FROM poll_times").fetchone()[0]


def limits_in(server, schema="modelslab_async"):
    """The limits in the database of an account."""
    return run_sql(f"{server.address}&batch=", f'SELECT rate, queue FROM "{schema}".account')


def test_account_in_a_database_gets_the_limits(program, emulator, postgres):
    """The command makes the account where a program finds it, also by the short scheme."""
    ticket = emulator.add_job("images:770002")
    limits = ("--rate", "90", "--queue", "7")
    account = postgres.address.replace("postgresql://", "postgres://", 1)
    run = program("wait", str(ticket), "--account", account, *limits)
    assert 0 == run.returncode, run.stderr
    assert [(90, 7)] == limits_in(postgres)


def test_account_in_a_database_may_have_a_schema(program, emulator, postgres):
    """The address of `--account` names the schema as that of `--journal` does."""
    ticket = emulator.add_job("images:770003")
    run = program(
        *("wait", str(ticket), "--account", f"{postgres.address}&schema=second%20key"),
        *("--queue", "11"),
    )
    assert 0 == run.returncode, run.stderr
    assert [(None, 11)] == limits_in(postgres, "second key")
    run_sql(f"{postgres.address}&batch=", 'DROP SCHEMA "second key" CASCADE')


def test_other_limits_in_a_database_are_refused(program, emulator, postgres):
    """A client has the account open with other limits. The message shows no password."""
    address = f"{postgres.address}&schema=in_use"
    PostgresAccount(postgres.address, rate=100, queue=10, schema="in_use")
    seen_at, process = "date_part('epoch', now()) + 1e6", this_process()
    run_sql(
        f"{postgres.address}&batch=",
        f"INSERT INTO in_use.clients VALUES (1, {seen_at}, '{process}', 0)",
    )
    before = emulator.polls.total()
    run = program("wait", "images:1", "--account", address, "--rate", "50")
    run_sql(f"{postgres.address}&batch=", "DROP SCHEMA in_use CASCADE")
    assert 2 == run.returncode, run.stderr
    assert "rate=100 and queue=10" in run.stderr
    assert "a-secret" not in run.stderr
    assert before == emulator.polls.total()


def test_resume_command_names_the_database_without_its_password(serving, tmp_path, postgres):
    """The user has the password elsewhere, such as in PGPASSWORD."""
    emulator = Emulator(jobs=Jobs(duration=(600.0, 600.0)))
    account = ("--account", f"{postgres.address}&schema=resumed")
    with serving(emulator) as url:
        run = Program(url)(*GENERATE, "--timeout", "0", "--out", str(tmp_path), *account)
    run_sql(f"{postgres.address}&batch=", "DROP SCHEMA resumed CASCADE")
    words = resume_command(run.stderr)
    expected = f"postgresql://tests@/postgres?host={postgres.folder}&schema=resumed"
    assert expected == words[words.index("--account") + 1]
    assert "a-secret" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://app:a-secret@db.example/x?batch=cats", "leave batch=NAME out"),
        ("postgresql://app:a-secret@db.example/x?schema=", "one schema=NAME"),
        ("postgresql://app:a-secr@t@db.example/x#y", "percent-encoded"),
        ("postgresql+asyncpg://app:a-secret@db.example/x", "for a database 'postgresql://"),
        (" postgresql://app:a-secret@db.example/x", "for a database 'postgresql://"),
    ],
)
def test_malformed_address_is_told_and_not_repeated(program, address, message):
    """An address may hold a password."""
    run = program("wait", "images:1", "--account", address)
    assert 2 == run.returncode
    assert message in " ".join(run.stderr.split())
    assert "a-secr" not in run.stderr


def test_unreachable_database_is_one_line_with_a_code(program, tmp_path):
    """No server listens there, so nothing is polled."""
    address = f"postgresql://app:a-secret@/x?host={tmp_path}"
    run = program("wait", "images:1", "--account", address)
    assert 8 == run.returncode, run.stderr
    assert 1 == len(run.stderr.splitlines())
    assert "a-secret" not in run.stderr


def test_missing_driver_of_an_account_is_named(program, without):
    """The message says what to install."""
    run = program(
        *("wait", "images:1", "--account", "postgresql://app:a-secret@db.example/x"),
        PYTHONPATH=without("asyncpg"),
    )
    assert 2 == run.returncode, run.stderr
    assert "modelslab-async[postgres]" in run.stderr


def test_unusable_account_is_one_line_with_a_code(program, tmp_path):
    """The folder of the file does not exist."""
    run = program("wait", "images:1", "--account", str(tmp_path / "nowhere" / "account.db"))
    assert 8 == run.returncode
    assert "see that its folder exists" in run.stderr
    assert 1 == len(run.stderr.splitlines())


def test_queue_without_effect_is_refused(program):
    """A wait submits nothing, so without an account its queue would mean nothing."""
    run = program("wait", "images:1", "--queue", "10")
    assert 2 == run.returncode
    assert "--queue needs --account here" in run.stderr


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan", "fast"])
def test_wrong_rate_is_refused(program, rate):
    """A rate is a finite number above 0."""
    run = program("wait", "images:1", "--rate", rate)
    assert 2 == run.returncode
    assert "--rate" in run.stderr


def test_resume_command_keeps_to_the_same_limits(serving, tmp_path):
    """What is run later shares the account, too."""
    emulator = Emulator(jobs=Jobs(duration=(600.0, 600.0)))
    account = ("--account", str(tmp_path / "account.db"), "--rate", "12.5", "--queue", "3")
    with serving(emulator) as url:
        run = Program(url)(*GENERATE, "--timeout", "0", "--out", str(tmp_path), *account)
    words = resume_command(run.stderr)
    first = words.index("--account")
    assert [*account] == words[first : first + len(account)]
    assert (12.5, 3) == limits_of(tmp_path / "account.db")


def test_without_an_account_the_limits_are_those_of_the_client():
    """The rate and the queue go to the client itself."""
    assert {"rate": None, "queue": 5} == AccountLimits().client_arguments()
    assert {"rate": 9.0, "queue": 2} == AccountLimits(rate=9.0, queue=2).client_arguments()
    assert [] == [*AccountLimits().flags()]
