"""Jobs, draws and scripts, as a test sets them up."""

import pytest

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import Family
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": (3.0, 2.0)}, "duration is"),
        ({"failure_rate": 1.5}, "failure_rate is a share"),
        ({"immediate": 1.5}, "immediate is a share"),
        ({"immediate": {"realtime": 1.5}}, r"immediate\['realtime'\] is a share"),
        ({"eta": "wild"}, "eta is"),
        ({"eta": -1.0}, "eta is"),
    ],
)
def test_jobs_refuse_invalid_arguments(arguments, message):
    """The error names the argument and what it accepts."""
    with pytest.raises(ValueError, match=message):
        Jobs(**arguments)


async def test_same_seed_gives_the_same_jobs(visit, clock):
    """add_jobs is deterministic and cycles through all families."""

    async def statuses(seed):
        emulator = Emulator(
            clock=clock, jobs=Jobs(duration=(0.0, 9.0), failure_rate=0.5, seed=seed)
        )
        tickets = emulator.add_jobs(94)
        visitor = visit(emulator)
        start, clock.now = clock.now, clock.now + 4
        found = [(await visitor.fetch(ticket)).json()["status"] for ticket in tickets]
        clock.now = start
        return tickets, found

    first, again, other = await statuses(1), await statuses(1), await statuses(2)

    assert first == again
    assert first[1] != other[1]
    assert {"processing", "success", "failed", "error"} == set(first[1])
    assert len({ticket.family for ticket in first[0]}) == 47
    assert len(set(first[0])) == 94


def test_jobs_are_added_to_the_given_families_only(emulator):
    """add_jobs cycles through the given families."""
    tickets = emulator.add_jobs(3, ["video", "images"])

    assert [ticket.family for ticket in tickets] == ["video", "images", "video"]


async def test_durations_may_be_drawn_by_a_callable(visit, clock):
    """A callable can draw from any distribution."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=lambda random: 7 + random.random()))
    (ticket,) = emulator.add_jobs(1, ["images"])
    visitor = visit(emulator)

    clock.now += 7
    assert (await visitor.fetch(ticket)).json()["status"] == "processing"
    clock.now += 1
    assert (await visitor.fetch(ticket)).json()["status"] == "success"


@pytest.mark.parametrize("ticket", ["nowhere:5", "workflows:5", "images:5/6", "images"])
def test_job_needs_a_ticket_of_a_known_family(ticket, emulator):
    """add_job refuses a ticket with an unknown family or a wrong id."""
    with pytest.raises(ValueError, match=r"famil"):
        emulator.add_job(ticket)


def test_new_ids_differ_from_added_ones(clock):
    """The emulator never makes an id that a job already has."""
    taken = Emulator(clock=clock).add_jobs(1, ["images"])[0]
    emulator = Emulator(clock=clock)
    emulator.add_job(taken)

    assert taken not in emulator.add_jobs(3, ["images"])


async def test_custom_family_is_served(visit, clock):
    """The registry can be extended, and reduced."""
    v9 = Family(name="v9_images", url="https://v9.example.test/api/v9/images/fetch/{id}")
    emulator = Emulator(clock=clock, families={"v9_images": v9})
    emulator.add_job("v9_images:5", duration=0)
    visitor = visit(emulator)

    assert (await visitor.submit("v9/images/fetch/5")).json()["status"] == "success"
    assert (await visitor.submit("v6/images/text2img")).status_code == 404
    assert (await visitor.submit("v1/workflows/wf/run")).status_code == 404


async def test_script_answers_in_order_and_repeats_its_last_reply(emulator, visitor):
    """Scripted replies come in order and unchanged, also for a ticket without a job."""
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


async def test_none_in_a_script_is_the_own_answer(emulator, visitor):
    """None in a script stands for the emulator's own answer."""
    emulator.add_job("images:5", duration=0)
    emulator.script("images:5", [ScriptedReply(500), None])

    replies = [await visitor.fetch("images:5") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [500, 200, 200]
    assert replies[2].json()["status"] == "success"


@pytest.mark.parametrize(("ticket", "replies"), [("images:5", []), ("nowhere:5", [None])])
def test_script_without_replies_or_family_is_refused(ticket, replies, emulator):
    """A script needs at least one reply and a known family."""
    with pytest.raises(ValueError, match=r"at least one|no family"):
        emulator.script(ticket, replies)
