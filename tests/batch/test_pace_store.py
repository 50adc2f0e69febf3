"""What a pace has learned: kept in the journal, and the next run goes on from there."""

import sqlite3
from contextlib import closing

import httpx
import pytest

from modelslab_async import Batch, Client, Pace, Success
from modelslab_async.journal import Journal

QUICK = Pace(floor=0.02, growth=0.0, growth_cap=0.02, max_failures=1000)


@pytest.fixture
def run(emulator, path):
    async def run(pace, ids=()):
        """Run the journal's batch with some more tickets; what it gave."""
        for id_ in ids:
            emulator.add_job(f"images:{id_}", duration=0.1)
        client = Client("a-key-for-tests", http=httpx.ASGITransport(app=emulator), pace=pace)
        async with client, Batch.open(path, client=client) as batch:
            await batch.add([f"images:{id_}" for id_ in ids])
            return [outcome async for outcome in batch.run()]

    return run


def lessons_of(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM pace_state").fetchall()


async def test_the_next_run_knows_what_this_one_learned(run, path):
    """A new pace begins with what the one before it had learned."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    assert {Success} == {type(each) for each in await run(first, range(5))}
    assert 5 == first.to_dict()["families"]["images"]["ages"]["count"]
    assert [] == await run(second)
    assert first.to_dict() == second.to_dict()
    assert {Success} == {type(each) for each in await run(second, range(5, 8))}
    assert 8 == second.to_dict()["families"]["images"]["ages"]["count"]
    assert 1 == len(lessons_of(path))


async def test_a_pace_that_has_begun_to_learn_goes_its_own_way(run):
    """What it knows is of today, and is not replaced by what was kept."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    await run(first, range(5))
    second.for_family("images").learn(1.0, 2.0, None)
    await run(second)
    assert 1 == second.to_dict()["families"]["images"]["ages"]["count"]


async def test_a_plain_pace_leaves_nothing_behind(run, path):
    """Where nothing is learned, nothing is kept."""
    await run(QUICK, range(2))
    assert [] == lessons_of(path)


async def test_what_is_learned_while_the_journal_is_read_stays(run, monkeypatch):
    """Where the client learns of other jobs just then, the pace goes its own way too."""
    first, second = Pace.adaptive(QUICK), Pace.adaptive(QUICK)
    await run(first, range(5))
    read = Journal.load_pace

    async def slowly(journal):
        kept = await read(journal)
        second.for_family("images").learn(1.0, 2.0, None)
        return kept

    monkeypatch.setattr(Journal, "load_pace", slowly)
    await run(second)
    assert 1 == second.to_dict()["families"]["images"]["ages"]["count"]


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ("state = '{\"version\": 99}'", "version is 99"),
        ("state = '{'", "Expecting"),
        ("state = replace(state, '\"count\": 2', '\"count\": 1e999')", "infinity"),
    ],
)
async def test_what_cannot_be_read_is_left_aside(run, path, caplog, spoiled, said):
    """Lessons of a version that is not known, or that are none, cost looks, and no run."""
    await run(Pace.adaptive(QUICK), range(2))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE pace_state SET {spoiled}")
    anew = Pace.adaptive(QUICK)
    assert {Success} == {type(each) for each in await run(anew, range(2, 4))}
    assert said in caplog.text
    assert 2 == anew.to_dict()["families"]["images"]["ages"]["count"]


async def test_a_disk_without_room_costs_what_was_learned_alone(run, path, caplog):
    """A run that cannot keep what its pace has learned ends as it would have."""
    blocked = """
        CREATE TRIGGER full BEFORE INSERT ON pace_state
        BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
    """
    await run(QUICK, range(2))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(blocked)
    assert {Success} == {type(each) for each in await run(Pace.adaptive(QUICK), range(2, 4))}
    assert "not saved" in caplog.text
