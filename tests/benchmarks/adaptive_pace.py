"""
What the adaptive pace costs while it learns, and after 200 jobs, compared with the best rule.

    python tests/benchmarks/adaptive_pace.py --jobs 200 --seeds 40

By default a poll costs as much as one second of lateness. The best rule is found by dynamic
programming on the true distribution. The adaptive pace sees only what its polls show: when a job
was still running and when it was over. With etas it is compared only with the fixed pace, which
uses them too. The jobs are drawn with seeds, so the figures are the same on every machine.
"""

import argparse
import math
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from frugality import QUANTILES, SHAPES, Quantile, Shape, best, spread

from modelslab_async import AdaptivePace, Pace
from modelslab_async._scheduling.pace_protocol import FamilyPace

# Parts of a distribution for the best rule.
_BOUND_PARTS = 2000

Eta = Callable[[float, float], float | None]

# The eta in the submit's reply, from the length of the job and a random number from 0 to 1.
ETA_KINDS: Mapping[str, Eta] = {
    "none": lambda _job, _chance: None,
    "honest": lambda job, _chance: float(math.ceil(job)),
    "exact": lambda job, _chance: job,
    "off by a fifth": lambda job, chance: job * (0.8 + 0.4 * chance),
    "ten times too long": lambda job, _chance: 10.0 * job,
    "960 s for all": lambda _job, _chance: 960.0,
}


class Run(NamedTuple):
    """The polls of one job: the last time it was running, and the time it was found over."""

    polls: int
    running: float
    over: float

    def cost(self, job: float, poll_cost: float) -> float:
        return self.polls * poll_cost + self.over - job


class Trial(NamedTuple):
    """After each job, the summed cost relative to the fixed pace; and the pace at the end."""

    relative_costs: list[float]
    pace: AdaptivePace


def run_job(
    pace: FamilyPace, job: float, chance: Callable[[], float], eta: float | None = None
) -> Run:
    """Poll a job that was just submitted until it is over."""
    polls, running, now = 1, 0.0, pace.first_step(eta, chance(), just_submitted=True)
    while now < job:
        running = now
        now += pace.step(now, chance(), eta=eta)
        polls += 1
    return Run(polls, running, now)


def run_trial(quantile: Quantile, eta_of: Eta, *, jobs: int, poll_cost: float, seed: int) -> Trial:
    """Let an adaptive pace learn from some jobs, and compare its cost with the fixed pace."""
    adaptive, fixed = Pace.adaptive(poll_cost=poll_cost), Pace()
    draw, eta_chance = random.Random(seed).random, random.Random(f"eta {seed}").random
    costs, fixed_costs = list[float](), list[float]()
    for number in range(jobs):
        job = quantile(draw())
        eta, pace = eta_of(job, eta_chance()), adaptive.for_family("images")
        run = run_job(pace, job, random.Random(f"{seed} {number}").random, eta)
        pace.learn(run.running, run.over, eta)
        costs.append(run.cost(job, poll_cost))
        other = run_job(fixed, job, random.Random(f"{seed} {number}").random, eta)
        fixed_costs.append(other.cost(job, poll_cost))
    pairs = zip(accumulate(costs), accumulate(fixed_costs), strict=True)
    return Trial([mine / theirs for mine, theirs in pairs], adaptive)


def expected_cost(pace: FamilyPace, shape: Shape, poll_cost: float) -> float:
    """The mean cost of a job of this shape."""
    chance = random.Random(1).random
    return sum(run_job(pace, job, chance).cost(job, poll_cost) for job in shape) / len(shape)


def best_cost(quantile: Quantile, poll_cost: float) -> float:
    """The cost of the best rule."""
    bound = best(spread(quantile, _BOUND_PARTS), poll_cost)
    return bound.polls * poll_cost + bound.late


def trials(
    name: str, *, jobs: int, seeds: int, poll_cost: float, eta_kind: str = "none"
) -> list[Trial]:
    """One trial per seed."""
    quantile, eta = QUANTILES[name], ETA_KINDS[eta_kind]
    return [
        run_trial(quantile, eta, jobs=jobs, poll_cost=poll_cost, seed=seed) for seed in range(seeds)
    ]


def relative_to_best(results: list[Trial], name: str, poll_cost: float) -> list[float]:
    """The final cost of each trial without etas, relative to the best rule for the shape."""
    bound = best_cost(QUANTILES[name], poll_cost)
    return [
        expected_cost(trial.pace.for_family("images"), SHAPES[name], poll_cost) / bound
        for trial in results
    ]


def means(results: list[Trial]) -> list[float]:
    """After each job, the cost relative to the fixed pace: the mean of all trials."""
    rows = zip(*(trial.relative_costs for trial in results), strict=True)
    return [sum(ratios) / len(results) for ratios in rows]


def lines(*, jobs: int, seeds: int, poll_cost: float) -> Iterator[str]:
    """One line per shape and kind of eta."""
    yield f"after {jobs} jobs without an eta, cost relative to the best: mean, worst of {seeds}"
    for name in QUANTILES:
        ends = relative_to_best(
            trials(name, jobs=jobs, seeds=seeds, poll_cost=poll_cost), name, poll_cost
        )
        yield f"{name:54} {sum(ends) / seeds:6.3f} {max(ends):6.3f}"
    yield (
        f"all {jobs} jobs, cost relative to the fixed pace: mean, worst of {seeds}; "
        "worst while learning: mean, worst, share of runs above 1.05"
    )
    for eta_kind in ETA_KINDS:
        for name in QUANTILES:
            results = trials(name, jobs=jobs, seeds=seeds, poll_cost=poll_cost, eta_kind=eta_kind)
            mean_costs = means(results)
            highest = [max(trial.relative_costs) for trial in results]
            over = sum(ratio > 1.05 for ratio in highest) / seeds
            yield (
                f"{eta_kind:20} {name:33} {mean_costs[-1]:6.3f} "
                f"{max(trial.relative_costs[-1] for trial in results):6.3f}"
                f"{max(mean_costs):12.3f} {max(highest):6.3f} {over:6.1%}"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--poll-cost", type=float, default=1.0)
    options = parser.parse_args()
    for line in lines(jobs=options.jobs, seeds=options.seeds, poll_cost=options.poll_cost):
        print(line, flush=True)


if __name__ == "__main__":
    main()
