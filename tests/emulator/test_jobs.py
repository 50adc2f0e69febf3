"""What can be set up before anybody asks: jobs, draws and scripts."""

import pytest

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import Family
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": (3.0, 2.0)}, "duration is"),
        ({"failure_rate": 1.5}, "failure_rate is a share"),
        ({"eta": "wild"}, "eta is"),
        ({"eta": -1.0}, "eta is"),
    ],
)
def test_jobs_refuse_what_makes_no_sense(arguments, message):
    """Each argument says what it expects."""
    with pytest.raises(ValueError, match=message):
        Jobs(**arguments)


async def test_the_same_seed_gives_the_same_jobs(visit, clock):
    """Planting many is deterministic, over all families in turn."""

    async def told(seed):
        emulator = Emulator(
            clock=clock, jobs=Jobs(duration=(0.0, 9.0), failure_rate=0.5, seed=seed)
        )
        tickets = emulator.add_jobs(92)
        visitor = visit(emulator)
        start, clock.now = clock.now, clock.now + 4
        said = [(await visitor.fetch(ticket)).json()["status"] for ticket in tickets]
        clock.now = start
        return tickets, said

    first, again, other = await told(1), await told(1), await told(2)

    assert first == again
    assert first[1] != other[1]
    assert {"processing", "success", "failed", "error"} == set(first[1])
    assert len({ticket.family for ticket in first[0]}) == 46
    assert len(set(first[0])) == 92


def test_planting_can_be_limited_to_some_families(emulator):
    """The families that are named take turns."""
    tickets = emulator.add_jobs(3, ["video", "images"])

    assert [ticket.family for ticket in tickets] == ["video", "images", "video"]


async def test_durations_may_be_drawn_by_a_callable(visit, clock):
    """Any distribution can be had."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=lambda random: 7 + random.random()))
    (ticket,) = emulator.add_jobs(1, ["images"])
    visitor = visit(emulator)

    clock.now += 7
    assert (await visitor.fetch(ticket)).json()["status"] == "processing"
    clock.now += 1
    assert (await visitor.fetch(ticket)).json()["status"] == "success"


@pytest.mark.parametrize("ticket", ["nowhere:5", "workflows:5", "images:5/6", "images"])
def test_a_ticket_that_fits_no_family_cannot_be_planted(ticket, emulator):
    """The fault is named at once."""
    with pytest.raises(ValueError, match=r"famil"):
        emulator.add_job(ticket)


def test_new_ids_avoid_planted_ones(clock):
    """A planted id is never given out a second time."""
    taken = Emulator(clock=clock).add_jobs(1, ["images"])[0]
    emulator = Emulator(clock=clock)
    emulator.add_job(taken)

    assert taken not in emulator.add_jobs(3, ["images"])


async def test_a_family_of_ones_own_is_served(visit, clock):
    """The registry may be extended, and cut."""
    v8 = Family(name="v8_images", url="https://v8.example.test/api/v8/images/fetch/{id}")
    emulator = Emulator(clock=clock, families={"v8_images": v8})
    emulator.add_job("v8_images:5", duration=0)
    visitor = visit(emulator)

    assert (await visitor.submit("v8/images/fetch/5")).json()["status"] == "success"
    assert (await visitor.submit("v6/images/text2img")).status_code == 404
    assert (await visitor.submit("v1/workflows/wf/run")).status_code == 404


async def test_a_script_answers_byte_by_byte_and_its_last_reply_repeats(emulator, visitor):
    """Scripted replies come in turn, whether the ticket was planted or not."""
    emulator.script(
        "images:5",
        [
            ScriptedReply(502, b"<html>bad gateway</html>", {"content-type": "text/html"}),
            ScriptedReply(body=b'{"status":"succ'),
        ],
    )

    replies = [await visitor.fetch("images:5") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [502, 200, 200]
    assert replies[0].headers["content-type"] == "text/html"
    assert [reply.content for reply in replies[1:]] == [b'{"status":"succ'] * 2
    assert emulator.polls[Ticket("images", 5)] == 3
    assert (3, 3) == (emulator.polls["images:5"], emulator.polls["images", 5])
    assert (3, 0) == (emulator.polls.get("images:5", 0), emulator.polls.get("images:6", 0))
    assert (True, False) == ("images:5" in emulator.polls, "images:6" in emulator.polls)
    assert {Ticket("images", 5): 3} == emulator.polls
    with pytest.raises(ValueError, match="family:id"):
        emulator.polls["images"]


async def test_a_script_may_end_with_the_truth(emulator, visitor):
    """None stands for what the emulator itself would say."""
    emulator.add_job("images:5", duration=0)
    emulator.script("images:5", [ScriptedReply(500), None])

    replies = [await visitor.fetch("images:5") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [500, 200, 200]
    assert replies[2].json()["status"] == "success"


@pytest.mark.parametrize(("ticket", "replies"), [("images:5", []), ("nowhere:5", [None])])
def test_a_script_needs_replies_and_a_family(ticket, replies, emulator):
    """What could never be played is refused."""
    with pytest.raises(ValueError, match=r"at least one|no family"):
        emulator.script(ticket, replies)
