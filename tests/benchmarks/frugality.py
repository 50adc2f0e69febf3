"""
Polls per ticket and lateness of its outcome: the default pace and the rules of other clients.

    python tests/benchmarks/frugality.py --json frugality.json --svg frugality.svg

Nothing is measured: jobs of known lengths are simulated, so the figures are the same on every
machine. A shape is a tuple of `COUNT` lengths, the midpoints of as many equal parts of its
distribution. A rule with jitter is simulated `RUNS` times per job, with evenly spread random
numbers. Time counts from the submit, whose reply says "processing", and replies take no time. No
rule is charged for a poll at that moment, though some of the loops make one.
"""

import argparse
import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from frugality_plot import draw

from modelslab_async import Pace

COUNT = 400
RUNS = 8
LONG_JOB_S = 30.0
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_NORMAL = NormalDist()

RandomNumbers = Iterator[float]
Rule = Callable[[RandomNumbers], Iterator[float]]
Shape = tuple[float, ...]
Quantile = Callable[[float], float]


class Figures(NamedTuple):
    """Means of all tickets; `long` counts the polls of jobs of more than `LONG_JOB_S` seconds."""

    polls: float
    late: float
    long: float | None

    def beats(self, other: "Figures") -> bool:
        """Whether there are both fewer polls and less lateness."""
        return self.polls < other.polls and self.late < other.late


def spread(quantile: Quantile, count: int = COUNT) -> Shape:
    """The lengths that stand for equal parts of a distribution."""
    return tuple(sorted(quantile((part + 0.5) / count) for part in range(count)))


def lognormal(median: float, width: float) -> Quantile:
    return lambda part: median * math.exp(width * _NORMAL.inv_cdf(part))


def two_humps(part: float) -> float:
    """Half of the jobs take about 3 s (a warm model), half about 90 s (a cold one)."""
    hump, within = divmod(part * 2.0, 1.0)
    return lognormal((3.0, 90.0)[int(hump)], 0.15)(within)


def heavy_tail(part: float) -> float:
    """Half take less than 20 s, a tenth more than 95 s, and the longest takes half an hour."""
    return 1.0 / (0.1 - part * (0.1 - 1.0 / 1800.0))


QUANTILES: Mapping[str, Quantile] = {
    "sharp, 2 s": lognormal(2.0, 0.05),
    "lognormal, 12 s": lognormal(12.0, 0.6),
    "humps, 3 s and 90 s": two_humps,
    "heavy tail to 30 min": heavy_tail,
    "queue, 5 to 120 s": lambda part: 5.0 + 115.0 * part,
}
SHAPES: Mapping[str, Shape] = {name: spread(quantile) for name, quantile in QUANTILES.items()}


def every(seconds: float) -> Rule:
    """A loop with a fixed delay."""

    def moments(_random_numbers: RandomNumbers) -> Iterator[float]:
        now = 0.0
        while True:
            now += seconds
            yield now

    return moments


def doubling(_random_numbers: RandomNumbers) -> Iterator[float]:
    """Delays of 1, 2, 4, 8, and then 10 seconds."""
    now, step = 0.0, 1.0
    while True:
        now += step
        yield now
        step = min(10.0, step * 2.0)


def jittered(random_numbers: RandomNumbers) -> Iterator[float]:
    """Delays of 6 seconds, plus or minus 1.5."""
    now = 0.0
    while True:
        now += 4.5 + 3.0 * next(random_numbers)
        yield now


# The delays of clients of this and of similar services. None of them uses an eta.
PEERS: Mapping[str, Rule] = {
    "fal, 0.1 s": every(0.1),
    "replicate, 0.5 s": every(0.5),
    "official JS and Go, 2 s": every(2.0),
    "LiteLLM, 3 s": every(3.0),
    "official CLI, 1 to 10 s": doubling,
    "runway, 4.5 to 7.5 s": jittered,
    "official Python, 60 s": every(60.0),
}
SHORT_DELAYS = ("fal, 0.1 s", "replicate, 0.5 s")

ETAS: Mapping[str, Callable[[float, int], float | None]] = {
    "none": lambda _job, _number: None,
    "honest": lambda job, _number: float(math.ceil(job)),
    "off by a fifth": lambda job, number: job * (0.8 + 0.4 * (number * _GOLDEN % 1.0)),
    "960 s for all": lambda _job, _number: 960.0,
}


def paced(pace: Pace, eta: float | None) -> Rule:
    """The times at which a pace polls a job that was just submitted."""

    def moments(random_numbers: RandomNumbers) -> Iterator[float]:
        now = pace.first_step(eta, next(random_numbers), just_submitted=True)
        while True:
            yield now
            now += pace.step(now, next(random_numbers), eta=eta)

    return moments


def evenly(start: float) -> RandomNumbers:
    """Numbers that fill the range from 0 to 1 without gaps or clusters."""
    while True:
        yield start
        start = (start + _GOLDEN) % 1.0


def timeline(rule: Rule, run: int, until: float) -> list[float]:
    """The poll times of one run, up to the first that is not before `until`."""
    moments: list[float] = []
    for moment in rule(evenly((run + 0.5) / RUNS)):
        moments.append(moment)
        if moment >= until:
            return moments
    raise AssertionError("a rule never stops polling")


def scored(runs: Sequence[tuple[float, Sequence[float]]]) -> Figures:
    """The figures of jobs, each with poll times that reach its end."""
    seen = [(job, bisect_left(moments, job - 1e-9), moments) for job, moments in runs]
    long = [index + 1 for job, index, _ in seen if job > LONG_JOB_S]
    return Figures(
        sum(index + 1 for _, index, _ in seen) / len(seen),
        sum(moments[index] - job for job, index, moments in seen) / len(seen),
        sum(long) / len(long) if long else None,
    )


def blind(rule: Rule, shape: Shape) -> Figures:
    """The figures of a rule that uses no eta."""
    lines = [timeline(rule, run, shape[-1]) for run in range(RUNS)]
    return scored([(job, line) for line in lines for job in shape])


def with_eta(pace: Pace, shape: Shape, eta_of: Callable[[float, int], float | None]) -> Figures:
    """The figures of a pace, if the submit's reply has an eta."""
    return scored(
        [
            (job, timeline(paced(pace, eta_of(job, number)), run, job))
            for number, job in enumerate(shape)
            for run in range(RUNS)
        ]
    )


def best_moments(shape: Shape, cost: float) -> list[float]:
    """
    The cheapest poll times for a known distribution, by dynamic programming.

    A poll costs as much as `cost` seconds of lateness. A poll between two lengths is never better
    than one at the earlier length, so all poll times are lengths. The best next poll is found for
    each length, from the last one backwards.
    """
    count = len(shape)
    sums = [0.0, *accumulate(shape)]
    least = [0.0] * (count + 1)
    following = [count] * (count + 1)
    for known in range(count - 1, -1, -1):
        polls, cheapest = cost * (count - known), math.inf
        for last in range(known + 1, count + 1):
            late = shape[last - 1] * (last - known) - sums[last] + sums[known]
            if polls + late >= cheapest:
                break
            if (total := polls + late + least[last]) < cheapest:
                cheapest, following[known] = total, last
        least[known] = cheapest
    moments, known = list[float](), 0
    while known < count:
        known = following[known]
        moments.append(shape[known - 1])
    return moments


def best(shape: Shape, cost: float) -> Figures:
    """The figures of the best rule for a known distribution."""
    moments = best_moments(shape, cost)
    return scored([(job, moments) for job in shape])


def report(pace: Pace) -> dict[str, dict[str, dict[str, Figures]]]:
    """For each shape: the peers, our pace with each kind of eta, and the best rule."""
    return {
        name: {
            "peers": {peer: blind(rule, shape) for peer, rule in PEERS.items()},
            "ours": {eta: with_eta(pace, shape, eta_of) for eta, eta_of in ETAS.items()},
            "best": {f"{cost:g}": best(shape, cost) for cost in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        }
        for name, shape in SHAPES.items()
    }


def lines(found: Mapping[str, Mapping[str, Mapping[str, Figures]]]) -> Iterator[str]:
    """The report as a table, with the peers that our pace beats."""
    for shape, groups in found.items():
        yield f"\n{shape:40} polls    late"
        for peer, figures in groups["peers"].items():
            yield f"  {peer:36} {figures.polls:7.2f} {figures.late:7.2f}"
        for eta, ours in groups["ours"].items():
            beaten = [peer for peer, theirs in groups["peers"].items() if ours.beats(theirs)]
            beating = [peer for peer, theirs in groups["peers"].items() if theirs.beats(ours)]
            yield (
                f"  {'ours, eta: ' + eta:36} {ours.polls:7.2f} {ours.late:7.2f}"
                f"  beats {len(beaten)} of {len(groups['peers'])}"
                + (f", beaten by {', '.join(beating)}" if beating else "")
            )
        for cost, figures in groups["best"].items():
            name = f"best if a poll costs {cost} s"
            yield f"  {name:36} {figures.polls:7.2f} {figures.late:7.2f}"


def main() -> None:
    """Print the table, and write the figures and the plot on request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    found = report(Pace())
    print("\n".join(lines(found)))
    if options.json:
        plain = {
            shape: {
                group: {name: [round(f.polls, 3), round(f.late, 3)] for name, f in rows.items()}
                for group, rows in groups.items()
            }
            for shape, groups in found.items()
        }
        options.json.write_text(json.dumps(plain, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(draw(found))


if __name__ == "__main__":
    main()
