"""Frugality: polls and lateness of the default pace, compared with the rules of other clients."""

import json
from itertools import islice
from pathlib import Path

import pytest
from frugality import (
    ETAS,
    PEERS,
    SHAPES,
    SHORT_DELAYS,
    best,
    blind,
    evenly,
    paced,
    report,
    timeline,
    with_eta,
)
from frugality_plot import draw

from modelslab_async import Pace, Processing, Success, Ticket
from modelslab_async._scheduling.initial_ticket_facts import InitialTicketFacts
from modelslab_async._scheduling.schedule import Schedule

pytestmark = pytest.mark.thorough

RECORD = Path(__file__).parents[2] / "docs" / "explanation"
LONG_DELAYS = [name for name in PEERS if name not in SHORT_DELAYS]


@pytest.fixture(scope="module")
def found():
    return report(Pace())


@pytest.mark.parametrize("eta", ["none", "honest"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_peer_beats_the_default(found, shape, eta):
    """A peer with fewer polls is later, and a peer that is less late polls more."""
    ours = found[shape]["ours"][eta]
    assert [] == [peer for peer, theirs in found[shape]["peers"].items() if theirs.beats(ours)]


def test_honest_eta_beats_every_peer_with_long_delays(found):
    """Fewer polls and less lateness than any delay of 2 s or more, on all shapes but one."""
    beaten = [
        shape
        for shape, groups in found.items()
        if all(groups["ours"]["honest"].beats(groups["peers"][peer]) for peer in LONG_DELAYS)
    ]
    assert list(SHAPES)[1:] == beaten


@pytest.mark.parametrize("peer", SHORT_DELAYS)
@pytest.mark.parametrize("eta", ETAS)
def test_long_jobs_need_a_tenth_of_the_polls_of_short_delays(found, peer, eta):
    """For jobs of more than 30 s, with every kind of eta."""
    for groups in found.values():
        if (ours := groups["ours"][eta].long) is not None:
            assert ours <= groups["peers"][peer].long / 10


@pytest.mark.parametrize("shape", list(SHAPES)[1:])
def test_no_rule_without_eta_could_beat_all_peers(found, shape):
    """
    No rule has as few polls as the 60 s loop and as little lateness as the 2 s loop.

    With a poll priced at 3 s, such a rule would cost less than the best rule for the known shape.
    """
    peers = found[shape]["peers"]
    least = best(SHAPES[shape], 3.0)
    few, early = peers["official Python, 60 s"].polls, peers["official JS and Go, 2 s"].late
    assert few * 3.0 + early < least.polls * 3.0 + least.late


@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_best_rule_costs_least(shape, cost):
    """No fixed delay and no pace costs less than the result of dynamic programming."""
    least = best(SHAPES[shape], cost)
    others = [blind(rule, SHAPES[shape]) for rule in PEERS.values()]
    others += [with_eta(Pace(floor=f), SHAPES[shape], ETAS["none"]) for f in (0.5, 2.5, 8.0)]
    assert least.polls * cost + least.late <= min(o.polls * cost + o.late for o in others)


def test_documented_figures_match_the_simulation(found):
    """The figures and the plot in the documentation are those of the current pace."""
    recorded = json.loads((RECORD / "frugality.json").read_text())
    for shape, groups in found.items():
        for group, rows in groups.items():
            for name, figures in rows.items():
                polls, late = recorded[shape][group][name]
                if group == "best":
                    # Several rules may be equally cheap; rounding decides which one is found.
                    total = figures.polls * float(name) + figures.late
                    assert total == pytest.approx(polls * float(name) + late, abs=0.02)
                else:
                    assert figures[:2] == pytest.approx((polls, late), abs=2e-3)
    assert draw(found).count("<circle") == (RECORD / "frugality.svg").read_text().count("<circle")


def scheduled(pace, job, eta, chances):
    """The times at which the real schedule polls one job, on a virtual clock."""
    schedule, ticket, moments = Schedule(pace), Ticket("images", 1), []
    schedule.add(
        ticket,
        object(),
        tier="standard",
        host="h",
        now=0.0,
        jitter=next(chances),
        facts=InitialTicketFacts(eta=eta, just_submitted=True),
    )
    while len(schedule):
        now = schedule.next_poll_at()
        entry = schedule.take(now)
        moments.append(now)
        over = now >= job - 1e-9
        reply = Success(ticket=ticket) if over else Processing(ticket=ticket)
        schedule.feed(entry, reply, now, next(chances))
    return moments


@pytest.mark.parametrize("eta_kind", ETAS)
def test_schedule_polls_when_the_simulation_polls(eta_kind):
    """The real schedule on virtual time polls at the same moments."""
    for shape in SHAPES.values():
        for number, job in islice(enumerate(shape), 0, None, 40):
            eta = ETAS[eta_kind](job, number)
            simulated = timeline(paced(Pace(), eta), 3, job - 1e-9)
            chances = evenly((3 + 0.5) / 8)
            assert simulated == pytest.approx(scheduled(Pace(), job, eta, chances))
