"""The adaptive pace learns how long jobs take from polls that see them running or done."""

import asyncio
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelslab_async import AdaptivePace, Pace, Success, Ticket
from modelslab_async._scheduling.adaptive.adaptive_pace import MAX_STEP_RATIO, AdaptiveFamilyPace
from modelslab_async._scheduling.adaptive.histogram import EDGES, IntervalHistogram, nearest_edge
from modelslab_async._scheduling.adaptive.planner import best_next_edges

JOBS = st.lists(
    st.tuples(st.floats(0, 1e5), st.none() | st.floats(0, 1e5), st.none() | st.floats(0, 1e4)),
    max_size=60,
)


def jobs_of(pace_of_family, draw, *, count=200, eta=None, timeout=math.inf):
    """Wait for these jobs as a client would, and let the pace learn from each."""
    jitter = random.Random(1).random
    for _ in range(count):
        job = draw()
        said = None if eta is None else eta(job)
        running, now = 0.0, pace_of_family.first_step(said, jitter(), just_submitted=True)
        while now < job and now < timeout:
            running = now
            now += pace_of_family.step(now, jitter(), eta=said)
        pace_of_family.learn(running, now if now >= job else None, said)
    return pace_of_family


def cost(steps, jobs, eta):
    """The average cost of a job: polls and delay."""
    jitter = random.Random(2).random
    total = 0.0
    for job in jobs:
        now, polls = steps.first_step(eta(job), jitter(), just_submitted=True), 1
        while now < job:
            now += steps.step(now, jitter(), eta=eta(job))
            polls += 1
        total += polls + now - job
    return total / len(jobs)


@settings(max_examples=60)
@given(
    jobs=JOBS, age=st.floats(0, 1e5), jitter=st.floats(0, 1), eta=st.none() | st.floats(0.01, 1e4)
)
def test_learned_step_is_within_factor_20(jobs, age, jitter, eta):
    """Whatever was learned, a step is between a twentieth and 20 times the plain one."""
    pace_of_family = AdaptiveFamilyPace(Pace(), 1.0)
    for running, over, said in jobs:
        pace_of_family.learn(running, None if over is None else max(over, running), said)
    step = pace_of_family.step(age, jitter, eta=eta)
    usual = Pace().base_step(age)
    if eta is None or eta <= age or pace_of_family.ratios.intervals.count >= 20:
        assert (
            usual / MAX_STEP_RATIO * 0.9
            <= step
            <= max(usual * MAX_STEP_RATIO, 300.0 if eta else 0.0)
        )
    else:
        assert Pace().step(age, jitter, eta=eta) == step
    assert 0.0 < step <= 300.0


@pytest.mark.parametrize("wrong", [0.25, 4.0, 40.0])
def test_etas_with_constant_error_become_useful(wrong):
    """Etas that are off by the same factor are as good as correct ones, after some jobs."""
    draw = random.Random(3)

    def eta(job):
        return job * wrong

    pace_of_family = jobs_of(
        AdaptiveFamilyPace(Pace(), 1.0),
        lambda: draw.lognormvariate(math.log(12), 0.4),
        eta=eta,
        count=300,
    )
    jobs = [draw.lognormvariate(math.log(12), 0.4) for _ in range(300)]
    assert cost(pace_of_family, jobs, eta) <= 2.4
    assert cost(pace_of_family, jobs, eta) <= 0.75 * cost(Pace(), jobs, eta)


def test_correct_etas_keep_plain_steps():
    """Where etas are correct nothing can be gained, and many parallel jobs lose next to nothing."""
    draw = random.Random(4)

    def eta(job):
        return float(math.ceil(job))

    pace_of_family = jobs_of(
        AdaptiveFamilyPace(Pace(), 1.0), lambda: draw.uniform(5.0, 70.0), eta=eta, count=400
    )
    jobs = [draw.uniform(5.0, 70.0) for _ in range(1000)]
    assert cost(pace_of_family, jobs, eta) <= 1.05 * cost(Pace(), jobs, eta)


def test_parallel_jobs_are_tried_within_budget():
    """Of a thousand jobs that start at once, only as many are tried as the budget allows."""
    pace_of_family = jobs_of(
        AdaptiveFamilyPace(Pace(), 1.0), lambda: 29.5, eta=lambda _: 30.0, count=60
    )
    plain = {Pace().step(0.0, jitter, eta=30.0) for jitter in (0.0, 1.0)}
    firsts = [pace_of_family.first_step(30.0, 0.5, just_submitted=True) for _ in range(1000)]
    assert 990 <= sum(min(plain) <= first_step <= max(plain) for first_step in firsts)


def test_pace_adapts_when_etas_become_correct():
    """Etas that become correct after being wrong are soon used as with the plain pace."""
    draw = random.Random(6)
    pace_of_family = jobs_of(
        AdaptiveFamilyPace(Pace(), 1.0),
        lambda: draw.uniform(5.0, 70.0),
        eta=lambda _: 960.0,
        count=500,
    )

    def eta(job):
        return float(math.ceil(job))

    jobs_of(pace_of_family, lambda: draw.uniform(5.0, 70.0), eta=eta, count=300)
    jobs = [draw.uniform(5.0, 70.0) for _ in range(300)]
    assert cost(pace_of_family, jobs, eta) <= 1.05 * cost(Pace(), jobs, eta)


def test_families_learn_apart():
    """The durations of videos say nothing about images."""
    learned = Pace.adaptive()
    jobs_of(learned.for_family("video"), lambda: 60.0)
    assert Pace().step(0.0, 0.5) == learned.for_family("images").step(0.0, 0.5)
    assert Pace().step(0.0, 0.5) * 4 < learned.for_family("video").step(0.0, 0.5)


def test_slower_service_is_learned():
    """Older jobs count less: a service that became slow is polled later."""
    pace_of_family = jobs_of(AdaptiveFamilyPace(Pace(), 1.0), lambda: 3.0)
    young = pace_of_family.step(0.0, 0.5)
    jobs_of(pace_of_family, lambda: 30.0, count=1500)
    assert 2.5 < young < 4.0
    assert 20.0 < pace_of_family.step(4.0, 0.5)
    assert sum(pace_of_family.ages.intervals.density()[: nearest_edge(6.0)]) < 0.05


def test_gap_is_crossed_in_longest_steps():
    """Where no job ended, a step is as long as it may be, and no longer."""
    draw = random.Random(7)
    pace_of_family = jobs_of(AdaptiveFamilyPace(Pace(), 1.0), lambda: draw.choice((3.0, 3000.0)))
    assert MAX_STEP_RATIO * Pace().base_step(5.0) == pace_of_family.step(5.0, 0.5)
    assert Pace().ceiling == pace_of_family.step(500.0, 0.5)


def test_abandoned_wait_counts_as_longer_job():
    """A wait that ended early teaches that the job takes longer."""
    seen = IntervalHistogram()
    for _ in range(50):
        seen.add(4.0, 6.0)
        seen.add(10.0, None)
    density = seen.density()
    assert 0.5 == pytest.approx(sum(density[nearest_edge(9.0) :]), abs=0.05)
    assert 0.4 <= sum(density[nearest_edge(3.5) : nearest_edge(7.0)]) <= 0.55


def test_short_timeouts_do_not_bias_the_median():
    """Half of the waits end before the job does, and the median is learned all the same."""
    draw = random.Random(5)
    pace_of_family = jobs_of(
        AdaptiveFamilyPace(Pace(), 1.0),
        lambda: draw.lognormvariate(math.log(12), 0.6),
        timeout=12.0,
    )
    density = pace_of_family.ages.intervals.density()
    below = sum(density[: nearest_edge(11.6)])
    assert 0.35 <= below <= 0.65


def test_job_done_at_first_poll_teaches_nothing():
    """An old ticket says only that it is old; one that was never polled says nothing."""
    pace_of_family = AdaptiveFamilyPace(Pace(), 1.0)
    pace_of_family.learn(0.0, 0.0, None)
    pace_of_family.learn(0.0, None, 5.0)
    assert 0 == pace_of_family.ages.intervals.count == pace_of_family.ratios.intervals.count


def test_ticket_of_unknown_age_is_polled_at_once():
    """Its job may be done, as with the plain pace."""
    pace_of_family = jobs_of(AdaptiveFamilyPace(Pace(), 1.0), lambda: 60.0)
    assert 0.0 == pace_of_family.first_step(None, 0.5)
    assert pace_of_family.step(0.0, 0.5) == pace_of_family.first_step(
        None, 0.5, just_submitted=True
    )


def test_pace_survives_json():
    """A restored pace polls at the same ages, and goes on learning."""
    learned = Pace.adaptive(poll_cost=0.5)
    draw = random.Random(1)
    jobs_of(learned.for_family("images"), lambda: draw.uniform(5, 30), eta=lambda job: 2 * job)
    text = json.dumps(learned.to_dict())
    again = Pace.adaptive(poll_cost=0.5, saved=json.loads(text))
    assert text == json.dumps(again.to_dict())
    assert 0.0 > json.loads(text)["families"]["images"]["ratios"]["spent"]
    for steps in (learned.for_family("images"), again.for_family("images")):
        jobs_of(steps, lambda: 9.0, count=30)
    for age in (0.0, 7.0, 15.0, 60.0):
        steps = [each.for_family("images").step(age, 0.5) for each in (learned, again)]
        assert steps[0] == pytest.approx(steps[1], rel=0.06)
    assert len(text) < 20_000


def kept(count=1, seen=((3, 9, 1.0),), **sums):
    """What is saved of one kind of jobs."""
    return {"count": count, "seen": seen, "allowed": 0.5, "spent": -2.0, **sums}


def saved(**ages):
    """What is saved of a pace."""
    return {"version": 2, "families": {"images": {"ages": kept(**ages), "ratios": kept()}}}


def test_valid_saved_state_is_accepted():
    """Otherwise the refusals below would prove nothing."""
    assert Pace.adaptive(saved=saved()).has_learned


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**saved(), "version": 1},
        {"version": 2, "families": []},
        {"version": 2, "families": {"images": {"ages": {}, "ratios": {}}}},
        saved(seen=[[5, 2, 1.0]]),
        saved(seen=[[1, 2, math.nan]]),
        saved(seen=[[1, 2]]),
        saved(count=40, seen=[[1, 2, 1e-320]]),
        saved(count=40, seen=[[number, 90, 0.001] for number in range(40)]),
        saved(count=40, seen=[[1, 2, 1e308], [2, 3, 1e308]]),
        saved(count=-1),
        saved(spent=math.nan),
        saved(spent=math.inf),
        saved(allowed=math.inf),
        saved(allowed=-1.0),
        saved(allowed="much"),
    ],
)
def test_invalid_saved_state_is_refused(wrong):
    """The message says what was expected and how to go on, and nothing is taken over."""
    learned = Pace.adaptive()
    with pytest.raises(ValueError, match="leave it out to learn anew"):
        learned.restore(wrong)
    assert {} == learned.to_dict()["families"]


@pytest.mark.parametrize("poll_cost", [0.0, -1.0, math.inf, math.nan, "1", True])
def test_poll_cost_must_be_positive_and_finite(poll_cost):
    """A poll that costs nothing, or everything, has no best rule."""
    expected = "^poll_cost is a number of seconds above 0 and below infinity, got [^(]*$"
    with pytest.raises((ValueError, TypeError), match=expected):
        Pace.adaptive(poll_cost=poll_cost)


def spent(density, moments, price):
    """The cost of polls at these edges, by definition."""
    total, left = 0.0, 1.0
    for low, high in zip([0, *moments], moments, strict=False):
        total += price * left
        for k in range(low, high):
            total += density[k] * (EDGES[high] - (EDGES[k] + EDGES[k + 1]) / 2)
        left -= sum(density[low:high])
    return total


def test_plan_of_a_bin_in_which_no_job_ends_is_that_of_the_next():
    """A poll that cannot find the job done is left out."""
    density = [0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0]
    edges = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert [3, 3, 3, 6, 6, 6, 7, 7] == best_next_edges(edges, density, 0.001)


@given(
    weights=st.lists(st.just(0.0) | st.floats(0.01, 1), min_size=1, max_size=12).filter(any),
    price=st.floats(0.001, 10.0),
    data=st.data(),
)
def test_plan_is_cheapest(weights, price, data):
    """No other set of edges that ends with the last one costs less."""
    density = [weight / sum(weights) for weight in weights]
    plan = best_next_edges(EDGES, density, price)
    moments = []
    here = 0
    while here < len(density):
        here = plan[here]
        moments.append(here)
    others = data.draw(st.sets(st.integers(1, len(density))))
    other = sorted(others | {len(density)})
    assert spent(density, moments, price) <= spent(density, other, price) + 1e-9


def test_client_teaches_its_pace(virtually, world):
    """After some tickets of a family, the next ones take fewer polls and are noticed in time."""

    async def main():
        pace = Pace.adaptive()
        async with world(pace=pace) as here:
            polls = []
            for number in range(120):
                ticket = here.emulator.add_job(("images", number), duration=40.0)
                assert isinstance(await here.client.wait(ticket), Success)
                polls.append(here.emulator.polls[Ticket("images", number)])
            assert 8 <= polls[0]
            assert polls[-1] <= 4
            assert 120 == pace.for_family("images").ages.intervals.count

    virtually(main)


def test_timeout_teaches_and_unknown_id_does_not(virtually, world):
    """A timeout says that the job ran for so long; an unknown id says nothing."""

    async def main():
        pace = Pace.adaptive()
        async with world(pace=pace) as here:
            here.emulator.add_job("images:1", duration=1000.0)
            outcomes = await here.client.gather(["images:1", "images:2"], timeout=30.0)
            assert ["Unresolved", "Failed"] == [type(each).__name__ for each in outcomes]
            await asyncio.sleep(0)
            ((low, high, _),) = pace.for_family("images").ages.intervals.to_list()
            assert 20.0 < EDGES[low] <= 30.0
            assert len(EDGES) - 1 == high

    virtually(main)


def test_adaptive_pace_has_limits_of_plain_pace():
    """The limits are those of the pace that it started with."""
    plain = Pace(max_failures=3, outage=60.0)
    learned = Pace.adaptive(plain)
    assert isinstance(learned, AdaptivePace)
    assert plain is learned.limits
