"""Frugality: looks against lateness, the default pace beside the rules of other clients."""

import json
from itertools import islice
from pathlib import Path

import pytest
from frugality import (
    ETAS,
    IMPATIENT,
    PEERS,
    SHAPES,
    best,
    blind,
    evenly,
    paced,
    report,
    timeline,
    with_eta,
)
from frugality_plot import drawn

from modelslab_async import Pace, Processing, Success, Ticket
from modelslab_async._scheduling.schedule import Schedule

pytestmark = pytest.mark.thorough

RECORD = Path(__file__).parents[2] / "docs" / "explanation"
SLOW = [name for name in PEERS if name not in IMPATIENT]


@pytest.fixture(scope="module")
def found():
    return report(Pace())


@pytest.mark.parametrize("eta", ["none", "honest"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_peer_beats_the_default(found, shape, eta):
    """Whoever spends fewer looks is later, and whoever is less late spends more looks."""
    ours = found[shape]["ours"][eta]
    assert [] == [peer for peer, theirs in found[shape]["peers"].items() if theirs.beats(ours)]


def test_with_an_honest_eta_the_default_beats_every_patient_peer(found):
    """Fewer looks and less lateness than each step of 2 s and more, on all shapes but the sharp."""
    beaten = [
        shape
        for shape, groups in found.items()
        if all(groups["ours"]["honest"].beats(groups["peers"][peer]) for peer in SLOW)
    ]
    assert list(SHAPES)[1:] == beaten


@pytest.mark.parametrize("peer", IMPATIENT)
@pytest.mark.parametrize("eta", ETAS)
def test_long_jobs_cost_a_tenth_of_an_impatient_loop(found, peer, eta):
    """At jobs of more than half a minute, whatever the eta says."""
    for groups in found.values():
        if (ours := groups["ours"][eta].long) is not None:
            assert ours <= groups["peers"][peer].long / 10


@pytest.mark.parametrize("shape", list(SHAPES)[1:])
def test_without_an_eta_nobody_could_beat_them_all(found, shape):
    """
    As few looks as the 60 s loop and as early as the 2 s loop: not even for whom knows the shape.

    If a rule did both, its looks at 3 s each and its lateness would cost less than the least.
    """
    peers = found[shape]["peers"]
    least = best(SHAPES[shape], 3.0)
    few, early = peers["official Python, 60 s"].polls, peers["official JS and Go, 2 s"].late
    assert few * 3.0 + early < least.polls * 3.0 + least.late


@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_best_rule_is_the_best(shape, cost):
    """No step of any length, and no pace, costs less than what dynamic programming found."""
    least = best(SHAPES[shape], cost)
    others = [blind(rule, SHAPES[shape]) for rule in PEERS.values()]
    others += [with_eta(Pace(floor=f), SHAPES[shape], ETAS["none"]) for f in (0.5, 2.5, 8.0)]
    assert least.polls * cost + least.late <= min(o.polls * cost + o.late for o in others)


def test_the_record_is_what_the_program_finds(found):
    """The figures and the plot of the documentation are those of this very pace."""
    recorded = json.loads((RECORD / "frugality.json").read_text())
    for shape, groups in found.items():
        for group, rows in groups.items():
            for name, figures in rows.items():
                polls, late = recorded[shape][group][name]
                if group == "best":
                    # Many rules may be equally cheap; which of them is found hangs by a hair.
                    total = figures.polls * float(name) + figures.late
                    assert total == pytest.approx(polls * float(name) + late, abs=0.02)
                else:
                    assert figures[:2] == pytest.approx((polls, late), abs=2e-3)
    assert drawn(found).count("<circle") == (RECORD / "frugality.svg").read_text().count("<circle")


def scheduled(pace, job, eta, chances):
    """When the schedule itself looks at one job, on a clock that nobody waits for."""
    schedule, ticket, moments = Schedule(pace), Ticket("images", 1), []
    schedule.add(
        ticket,
        object(),
        tier="standard",
        host="h",
        now=0.0,
        jitter=next(chances),
        eta=eta,
        just_submitted=True,
    )
    while len(schedule):
        now = schedule.next_poll_at()
        entry = schedule.take(now)
        moments.append(now)
        over = now >= job - 1e-9
        reply = Success(ticket=ticket) if over else Processing(ticket=ticket)
        schedule.feed(entry, reply, now, next(chances))
    return moments


@pytest.mark.parametrize("said", ETAS)
def test_the_schedule_looks_when_the_simulation_says(said):
    """The real schedule on virtual time spends the same looks, at the same moments."""
    for shape in SHAPES.values():
        for number, job in islice(enumerate(shape), 0, None, 40):
            eta = ETAS[said](job, number)
            walked = timeline(paced(Pace(), eta), 3, job - 1e-9)
            chances = evenly((3 + 0.5) / 8)
            assert walked == pytest.approx(scheduled(Pace(), job, eta, chances))
