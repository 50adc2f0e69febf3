"""
What a learned pace costs: while it learns, and after two hundred jobs beside the best of all rules.

    python tests/benchmarks/learning.py --jobs 200 --seeds 10

A look costs as much as one second of lateness, if nothing else is said. The best rule is found by
dynamic programming on the true distribution; the learned pace sees no more of it than its looks
show, which is when a job still ran and when it was over. The jobs are drawn with seeds, so the
figures are the same on every machine.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

from frugality import QUANTILES, SHAPES, Quantile, Shape, best, spread

from modelslab_async import Learned, Pace
from modelslab_async._core.rules import Steps

_FINE = 2000


class Walk(NamedTuple):
    """How one job was waited for."""

    looks: int
    running: float
    over: float

    def cost(self, job: float, look: float) -> float:
        return self.looks * look + self.over - job


class Trial(NamedTuple):
    """Sums of costs beside the plain pace's, job after job; and the last cost beside the best."""

    along: list[float]
    last: float


def walked(steps: Steps, job: float, chance: Callable[[], float]) -> Walk:
    """Look at a job that was just submitted until it is over."""
    looks, running, now = 1, 0.0, steps.first(None, chance(), fresh=True)
    while now < job:
        running = now
        now += steps.step(now, chance())
        looks += 1
    return Walk(looks, running, now)


def taught(jobs: list[float], look: float, seed: int) -> tuple[Learned, list[float], list[float]]:
    """A pace that has waited for these jobs, and what each cost it and the plain pace."""
    learned, plain = Pace.learned(look=look), Pace()
    costs, usual = list[float](), list[float]()
    for number, job in enumerate(jobs):
        walk = walked(learned.of("images"), job, random.Random(f"{seed} {number}").random)
        learned.of("images").learn(walk.running, walk.over, None)
        costs.append(walk.cost(job, look))
        other = walked(plain, job, random.Random(f"{seed} {number}").random)
        usual.append(other.cost(job, look))
    return learned, costs, usual


def expected(steps: Steps, shape: Shape, look: float) -> float:
    """What the steps cost a job of that shape, on average."""
    chance = random.Random(1).random
    return sum(walked(steps, job, chance).cost(job, look) for job in shape) / len(shape)


def least(quantile: Quantile, look: float) -> float:
    """What the best of all rules costs."""
    found = best(spread(quantile, _FINE), look)
    return found.looks * look + found.late


def trials(name: str, *, jobs: int, seeds: int, look: float) -> list[Trial]:
    """So many pupils, each with jobs of its own."""
    quantile, bound = QUANTILES[name], least(QUANTILES[name], look)
    found = []
    for seed in range(seeds):
        draw = random.Random(seed).random
        learned, costs, usual = taught([quantile(draw()) for _ in range(jobs)], look, seed)
        pairs = zip(accumulate(costs), accumulate(usual), strict=True)
        along = [mine / theirs for mine, theirs in pairs]
        found.append(Trial(along, expected(learned.of("images"), SHAPES[name], look) / bound))
    return found


def lines(*, jobs: int, seeds: int, look: float) -> Iterator[str]:
    """A line a shape."""
    yield f"after {jobs} jobs, costs beside the best: mean, worst; the plain pace: so far, at worst"
    for name in QUANTILES:
        found = trials(name, jobs=jobs, seeds=seeds, look=look)
        ends = [trial.last for trial in found]
        along = [sum(ratios) / seeds for ratios in zip(*(t.along for t in found), strict=True)]
        yield (
            f"{name:34} {sum(ends) / seeds:6.3f} {max(ends):6.3f}"
            f"{along[-1]:28.3f} {max(along):9.3f}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--look", type=float, default=1.0)
    options = parser.parse_args()
    for line in lines(jobs=options.jobs, seeds=options.seeds, look=options.look):
        print(line, flush=True)


if __name__ == "__main__":
    main()
