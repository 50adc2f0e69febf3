"""Random scenarios of a whole client on virtual time: see `simulate.py`."""

import asyncio
from collections import Counter

import pytest
from faults.simulate import run_scenario
from faults.simulated_network import NETWORK_FAULTS
from faults.simulated_rules import Rules
from virtual_time import JumpingLoop

from modelslab_async import ClientClosed, Completed, Pace, Success, Ticket
from modelslab_async._polling.watchers import OutcomeWatcher

TICKET = Ticket("images", "1")


# The seeds of every day; the others are thorough.
EVERYDAY_SEEDS = 25


@pytest.mark.parametrize(
    "seed",
    [
        *range(EVERYDAY_SEEDS),
        *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(EVERYDAY_SEEDS, 400)),
    ],
)
def test_scenario_breaks_no_rule(seed):
    """Each ticket completes once and correctly. No poll is early, excessive or after the end."""
    scenario = run_scenario(seed)
    causes = {
        type(getattr(end, "cause", end))
        for outcomes in scenario.received.values()
        for end in outcomes
    }
    # In some scenarios the client is closed before the first call.
    assert scenario.rules.polls or causes <= {ClientClosed}


@pytest.mark.thorough
def test_scenarios_contain_all_faults():
    """Among them are all faults of the network, rate limits, refusals and overtaken replies."""
    scenarios = [run_scenario(seed) for seed in range(60)]
    committed = sum((scenario.network.committed for scenario in scenarios), Counter())
    assert {*NETWORK_FAULTS, "status_401", "rate_limit_seconds", "rate_limit_garbage"} <= set(
        committed
    )
    assert any(scenario.rules.overtaken for scenario in scenarios)


def violations_of(misbehave):
    """Return the violations that the rules find for a poller that does something wrong."""

    async def main():
        rules, watcher = Rules(Pace(), None), OutcomeWatcher()
        observed = rules.add_watcher(TICKET, watcher, "host")
        misbehave(rules, observed, Success(ticket=TICKET))
        return rules.violations

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


def test_rules_find_an_outcome_that_comes_twice():
    """A watcher with an outcome waits no longer."""

    def notify_twice(_rules, watcher, success):
        watcher.notify(success)
        watcher.notify(success)

    assert 1 == len(violations_of(notify_twice))


def test_rules_find_a_completed_ticket_with_a_waiting_watcher():
    """A ticket completes only after a reply, and after all its watchers were notified."""

    def notify_nothing(rules, _watcher, success):
        rules.on_event(Completed(outcome=success, polls=0, waited=0.0))

    assert 2 == len(violations_of(notify_nothing))


def test_rules_find_a_watcher_without_an_outcome():
    """All open tickets end when the client is closed."""

    def close_only(rules, _watcher, _success):
        rules.check_closed()

    assert 1 == len(violations_of(close_only))
