"""What a pace has learned is kept in the journal, and the next run continues from it."""

import sqlite3
from contextlib import closing

import httpx
import pytest

from modelslab_async import Batch, Client, Pace, Success
from modelslab_async.journal import Journal

QUICK = Pace(floor=0.02, growth=0.0, growth_cap=0.02, max_failures=1000)


@pytest.fixture
def path(file_path):
    """A file, because these tests are about files."""
    return file_path


@pytest.fixture
def run(emulator, path):
    async def run(pace, ids=()):
        """Run the journal's batch with more tickets. Return the outcomes."""
        for id_ in ids:
            emulator.add_job(f"images:{id_}", duration=0.1)
        client = Client("a-key-for-tests", http=httpx.ASGITransport(app=emulator), pace=pace)
        async with client, Batch.open(path, client=client) as batch:
            await batch.add([f"images:{id_}" for id_ in ids])
            return [outcome async for outcome in batch.run()]

    return run


def saved_states(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM pace_state").fetchall()


async def test_next_run_starts_with_the_saved_pace(run, path):
    """A new pace knows what the one before it had learned."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    assert {Success} == {type(each) for each in await run(first, range(5))}
    assert 5 == first.to_dict()["families"]["images"]["ages"]["count"]
    assert [] == await run(second)
    assert first.to_dict() == second.to_dict()
    assert {Success} == {type(each) for each in await run(second, range(5, 8))}
    assert 8 == second.to_dict()["families"]["images"]["ages"]["count"]
    assert 1 == len(saved_states(path))


async def test_pace_with_own_history_is_not_replaced(run):
    """What it learned is newer than what was saved."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    await run(first, range(5))
    second.for_family("images").learn(1.0, 2.0, None)
    await run(second)
    assert 1 == second.to_dict()["families"]["images"]["ages"]["count"]


async def test_plain_pace_saves_nothing(run, path):
    """It learns nothing."""
    await run(QUICK, range(2))
    assert [] == saved_states(path)


async def test_history_learned_during_the_read_is_not_replaced(run, monkeypatch):
    """The client may learn from other jobs meanwhile."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    await run(first, range(5))
    read = Journal.load_pace

    async def load_late(journal):
        kept = await read(journal)
        second.for_family("images").learn(1.0, 2.0, None)
        return kept

    monkeypatch.setattr(Journal, "load_pace", load_late)
    await run(second)
    assert 1 == second.to_dict()["families"]["images"]["ages"]["count"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("state = '{\"version\": 99}'", "version is 99"),
        ("state = '{'", "Expecting"),
        ("state = '[1]'", "no object"),
        ("state = replace(state, '\"count\": 2', '\"count\": 1e999')", "infinity"),
    ],
)
async def test_unreadable_state_is_ignored(run, path, caplog, damage, message):
    """An unknown version or damage costs polls, and no run."""
    await run(Pace.adaptive(QUICK), range(2))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE pace_state SET {damage}")
    pace = Pace.adaptive(QUICK)
    assert {Success} == {type(each) for each in await run(pace, range(2, 4))}
    assert message in caplog.text
    assert 2 == pace.to_dict()["families"]["images"]["ages"]["count"]


async def test_full_disk_costs_only_the_pace(run, path, caplog):
    """The run ends as it would have."""
    blocked = """
        CREATE TRIGGER full BEFORE INSERT ON pace_state
        BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
    """
    await run(QUICK, range(2))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(blocked)
    assert {Success} == {type(each) for each in await run(Pace.adaptive(QUICK), range(2, 4))}
    assert "not saved" in caplog.text
