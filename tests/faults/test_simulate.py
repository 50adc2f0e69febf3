"""Seeded stories of a whole poller on virtual time: see `simulate.py`."""

import asyncio
from collections import Counter

import pytest
from faults.simulate import play
from faults.simulated_network import OWN
from faults.simulated_rules import Rules
from virtual_time import JumpingLoop

from modelslab_async import ClientClosed, Completed, Pace, Success, Ticket
from modelslab_async._polling.watchers import OutcomeWatcher

pytestmark = pytest.mark.thorough

TICKET = Ticket("images", "1")


@pytest.mark.parametrize("seed", range(400))
def test_a_story_ends_well(seed):
    """Every ticket settles once and rightly, nothing is early, too much, or after the end."""
    story = play(seed)
    causes = {type(getattr(end, "cause", end)) for ends in story.given.values() for end in ends}
    # In some the client is closed before anybody comes.
    assert story.rules.polls or causes <= {ClientClosed}


def test_the_stories_hold_what_they_are_to_hold():
    """Every fault of the network, limits, refusals, and replies that were overtaken by an end."""
    stories = [play(seed) for seed in range(60)]
    committed = sum((story.network.committed for story in stories), Counter())
    assert {*OWN, "status_401", "rate_limit_seconds", "rate_limit_garbage"} <= set(committed)
    assert any(story.rules.overtaken for story in stories)


def told_badly(wrongly):
    """What the rules hold against a poller that does something wrong."""

    async def tell():
        rules, answer = Rules(Pace(), None), OutcomeWatcher()
        told = rules.watched(TICKET, answer, "here")
        wrongly(rules, told, Success(ticket=TICKET))
        return rules.wrong

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(tell())


def test_the_rules_see_an_end_that_is_told_twice():
    """Who was told how it ended does not wait any more."""

    def twice(_rules, told, success):
        told.notify(success)
        told.notify(success)

    assert 1 == len(told_badly(twice))


def test_the_rules_see_an_end_that_is_told_to_nobody():
    """A ticket is not settled before everybody was told; and not without any reply."""

    def untold(rules, _told, success):
        rules.heard(Completed(outcome=success, polls=0, waited=0.0))

    assert 2 == len(told_badly(untold))


def test_the_rules_see_an_end_that_is_never_told():
    """What was open when the client was closed has ended with it."""

    def never(rules, _told, _success):
        rules.over()

    assert 1 == len(told_badly(never))
