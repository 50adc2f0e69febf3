"""
What a learned pace costs: while it learns, and after two hundred jobs beside the best of all rules.

    python tests/benchmarks/learning.py --jobs 200 --seeds 40

A look costs as much as one second of lateness, if nothing else is said. The best rule is found by
dynamic programming on the true distribution; the learned pace sees no more of it than its looks
show, which is when a job still ran and when it was over. With etas it is compared with the plain
pace alone, which heeds them too. The jobs are drawn with seeds, so the
figures are the same on every machine.
"""

import argparse
import math
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from frugality import QUANTILES, SHAPES, Quantile, Shape, best, spread

from modelslab_async import AdaptivePace, Pace
from modelslab_async._scheduling.policy import FamilyPace

_FINE = 2000

Eta = Callable[[float, float], float | None]

# What the submit's reply says of a job, given its length and a number from 0 to 1.
SAID: Mapping[str, Eta] = {
    "none": lambda _job, _chance: None,
    "honest": lambda job, _chance: float(math.ceil(job)),
    "to the digit": lambda job, _chance: job,
    "off by a fifth": lambda job, chance: job * (0.8 + 0.4 * chance),
    "ten times too long": lambda job, _chance: 10.0 * job,
    "960 s for all": lambda _job, _chance: 960.0,
}


class Walk(NamedTuple):
    """How one job was waited for."""

    polls: int
    running: float
    over: float

    def cost(self, job: float, poll_cost: float) -> float:
        return self.polls * poll_cost + self.over - job


class Trial(NamedTuple):
    """Sums of costs beside the plain pace's, job after job, and what it knows at the end."""

    along: list[float]
    pupil: AdaptivePace


def walked(
    steps: FamilyPace, job: float, chance: Callable[[], float], eta: float | None = None
) -> Walk:
    """Look at a job that was just submitted until it is over."""
    polls, running, now = 1, 0.0, steps.first_step(eta, chance(), just_submitted=True)
    while now < job:
        running = now
        now += steps.step(now, chance(), eta=eta)
        polls += 1
    return Walk(polls, running, now)


def taught(quantile: Quantile, said: Eta, *, jobs: int, poll_cost: float, seed: int) -> Trial:
    """A pace that has waited for so many jobs, and what each cost it and the plain pace."""
    learned, plain = Pace.adaptive(poll_cost=poll_cost), Pace()
    draw, guess = random.Random(seed).random, random.Random(f"eta {seed}").random
    costs, usual = list[float](), list[float]()
    for number in range(jobs):
        job = quantile(draw())
        eta, steps = said(job, guess()), learned.for_family("images")
        walk = walked(steps, job, random.Random(f"{seed} {number}").random, eta)
        steps.learn(walk.running, walk.over, eta)
        costs.append(walk.cost(job, poll_cost))
        other = walked(plain, job, random.Random(f"{seed} {number}").random, eta)
        usual.append(other.cost(job, poll_cost))
    pairs = zip(accumulate(costs), accumulate(usual), strict=True)
    return Trial([mine / theirs for mine, theirs in pairs], learned)


def expected(steps: FamilyPace, shape: Shape, poll_cost: float) -> float:
    """What the steps cost a job of that shape, on average."""
    chance = random.Random(1).random
    return sum(walked(steps, job, chance).cost(job, poll_cost) for job in shape) / len(shape)


def least(quantile: Quantile, poll_cost: float) -> float:
    """What the best of all rules costs."""
    found = best(spread(quantile, _FINE), poll_cost)
    return found.polls * poll_cost + found.late


def trials(
    name: str, *, jobs: int, seeds: int, poll_cost: float, said: str = "none"
) -> list[Trial]:
    """So many pupils, each with jobs of its own."""
    quantile, eta = QUANTILES[name], SAID[said]
    return [
        taught(quantile, eta, jobs=jobs, poll_cost=poll_cost, seed=seed) for seed in range(seeds)
    ]


def beside_the_best(found: list[Trial], name: str, poll_cost: float) -> list[float]:
    """What each pupil costs by the end, without an eta, beside the best rule for the shape."""
    bound = least(QUANTILES[name], poll_cost)
    return [
        expected(trial.pupil.for_family("images"), SHAPES[name], poll_cost) / bound
        for trial in found
    ]


def means(found: list[Trial]) -> list[float]:
    """Up to each job, the costs beside the plain pace's, as means over all pupils."""
    rows = zip(*(trial.along for trial in found), strict=True)
    return [sum(ratios) / len(found) for ratios in rows]


def lines(*, jobs: int, seeds: int, poll_cost: float) -> Iterator[str]:
    """A line a shape and kind of eta."""
    yield f"after {jobs} jobs without an eta, costs beside the best: mean, worst of {seeds}"
    for name in QUANTILES:
        ends = beside_the_best(
            trials(name, jobs=jobs, seeds=seeds, poll_cost=poll_cost), name, poll_cost
        )
        yield f"{name:54} {sum(ends) / seeds:6.3f} {max(ends):6.3f}"
    yield (
        f"all {jobs} jobs, costs beside the plain pace: mean, worst of {seeds}; "
        "at worst on the way: mean, worst, share of runs above 1.05"
    )
    for said in SAID:
        for name in QUANTILES:
            found = trials(name, jobs=jobs, seeds=seeds, poll_cost=poll_cost, said=said)
            along = means(found)
            highest = [max(trial.along) for trial in found]
            over = sum(ratio > 1.05 for ratio in highest) / seeds
            yield (
                f"{said:20} {name:33} {along[-1]:6.3f} "
                f"{max(trial.along[-1] for trial in found):6.3f}"
                f"{max(along):12.3f} {max(highest):6.3f} {over:6.1%}"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--look", type=float, default=1.0)
    options = parser.parse_args()
    for line in lines(jobs=options.jobs, seeds=options.seeds, poll_cost=options.poll_cost):
        print(line, flush=True)


if __name__ == "__main__":
    main()
