"""
How many looks a ticket takes and how late its end is noticed: our pace and everybody else's rule.

    python tests/benchmarks/frugality.py --json frugality.json --svg frugality.svg

Nothing is measured here: jobs of known lengths are walked through in the mind, so the figures are
the same on every machine. A shape is `COUNT` lengths, the midpoints of as many equal parts of its
distribution; where chance has a say, each job is walked `WALKS` times with chances that are spread
evenly. Time counts from the submit, whose reply says "processing", and replies take no time. No
rule is charged with a look at that moment, though some of the loops do make one.
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

from frugality_plot import drawn

from modelslab_async import Pace

COUNT = 400
WALKS = 8
LONG = 30.0
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_BELL = NormalDist()

Chances = Iterator[float]
Rule = Callable[[Chances], Iterator[float]]
Shape = tuple[float, ...]
Quantile = Callable[[float], float]


class Figures(NamedTuple):
    """Means over all tickets; `long` are the looks at jobs of more than `LONG` seconds."""

    polls: float
    late: float
    long: float | None

    def beats(self, other: "Figures") -> bool:
        """Fewer looks and less lateness at once."""
        return self.polls < other.polls and self.late < other.late


def spread(quantile: Quantile, count: int = COUNT) -> Shape:
    """A distribution as so many lengths that each stand for an equal part of it."""
    return tuple(sorted(quantile((part + 0.5) / count) for part in range(count)))


def lognormal(median: float, width: float) -> Quantile:
    return lambda part: median * math.exp(width * _BELL.inv_cdf(part))


def two_humps(part: float) -> float:
    """Half of the jobs take about 3 s, as from a warm model, half about 90 s, as from a cold."""
    hump, within = divmod(part * 2.0, 1.0)
    return lognormal((3.0, 90.0)[int(hump)], 0.15)(within)


def heavy(part: float) -> float:
    """Half take less than 20 s, a tenth more than 95 s, and the longest half an hour."""
    return 1.0 / (0.1 - part * (0.1 - 1.0 / 1800.0))


QUANTILES: Mapping[str, Quantile] = {
    "sharp, 2 s": lognormal(2.0, 0.05),
    "lognormal, 12 s": lognormal(12.0, 0.6),
    "humps, 3 s and 90 s": two_humps,
    "heavy tail to 30 min": heavy,
    "queue, 5 to 120 s": lambda part: 5.0 + 115.0 * part,
}
SHAPES: Mapping[str, Shape] = {name: spread(quantile) for name, quantile in QUANTILES.items()}


def every(seconds: float) -> Rule:
    """A loop with one step."""

    def moments(_chances: Chances) -> Iterator[float]:
        now = 0.0
        while True:
            now += seconds
            yield now

    return moments


def doubling(_chances: Chances) -> Iterator[float]:
    """1, 2, 4, 8, and then 10 seconds."""
    now, step = 0.0, 1.0
    while True:
        now += step
        yield now
        step = min(10.0, step * 2.0)


def shaken(chances: Chances) -> Iterator[float]:
    """6 seconds, give or take 1.5."""
    now = 0.0
    while True:
        now += 4.5 + 3.0 * next(chances)
        yield now


# The steps that the clients of this service and of its like ship with; none heeds an eta.
PEERS: Mapping[str, Rule] = {
    "fal, 0.1 s": every(0.1),
    "replicate, 0.5 s": every(0.5),
    "official JS and Go, 2 s": every(2.0),
    "LiteLLM, 3 s": every(3.0),
    "official CLI, 1 to 10 s": doubling,
    "runway, 4.5 to 7.5 s": shaken,
    "official Python, 60 s": every(60.0),
}
IMPATIENT = ("fal, 0.1 s", "replicate, 0.5 s")

ETAS: Mapping[str, Callable[[float, int], float | None]] = {
    "none": lambda _job, _number: None,
    "honest": lambda job, _number: float(math.ceil(job)),
    "off by a fifth": lambda job, number: job * (0.8 + 0.4 * (number * _GOLDEN % 1.0)),
    "960 s for all": lambda _job, _number: 960.0,
}


def paced(pace: Pace, eta: float | None) -> Rule:
    """When a pace looks at a job that was just submitted."""

    def moments(chances: Chances) -> Iterator[float]:
        now = pace.first_step(eta, next(chances), just_submitted=True)
        while True:
            yield now
            now += pace.step(now, next(chances), eta=eta)

    return moments


def evenly(start: float) -> Chances:
    """Chances that fill the line from 0 to 1 without gaps or clusters."""
    while True:
        yield start
        start = (start + _GOLDEN) % 1.0


def timeline(rule: Rule, walk: int, until: float) -> list[float]:
    """The moments of one walk, up to the first that is not before `until`."""
    moments: list[float] = []
    for moment in rule(evenly((walk + 0.5) / WALKS)):
        moments.append(moment)
        if moment >= until:
            return moments
    raise AssertionError("a rule looks again and again")


def scored(walks: Sequence[tuple[float, Sequence[float]]]) -> Figures:
    """The figures of jobs, each with a timeline that reaches its end."""
    seen = [(job, bisect_left(moments, job - 1e-9), moments) for job, moments in walks]
    long = [place + 1 for job, place, _ in seen if job > LONG]
    return Figures(
        sum(place + 1 for _, place, _ in seen) / len(seen),
        sum(moments[place] - job for job, place, moments in seen) / len(seen),
        sum(long) / len(long) if long else None,
    )


def blind(rule: Rule, shape: Shape) -> Figures:
    """What a rule that knows no eta spends."""
    lines = [timeline(rule, walk, shape[-1]) for walk in range(WALKS)]
    return scored([(job, line) for line in lines for job in shape])


def with_eta(pace: Pace, shape: Shape, said: Callable[[float, int], float | None]) -> Figures:
    """What our pace spends where the submit's reply says an eta."""
    return scored(
        [
            (job, timeline(paced(pace, said(job, number)), walk, job))
            for number, job in enumerate(shape)
            for walk in range(WALKS)
        ]
    )


def best_moments(shape: Shape, cost: float) -> list[float]:
    """
    The looks that cost the least for whom the distribution is known, by dynamic programming.

    A look costs as much as so many seconds of lateness. To look between two lengths is never
    better than at the earlier one, so the looks are some of the lengths; from the last one
    backwards, each is the best next look after the ones before it.
    """
    count = len(shape)
    sums = [0.0, *accumulate(shape)]
    least = [0.0] * (count + 1)
    following = [count] * (count + 1)
    for known in range(count - 1, -1, -1):
        looking, cheapest = cost * (count - known), math.inf
        for last in range(known + 1, count + 1):
            late = shape[last - 1] * (last - known) - sums[last] + sums[known]
            if looking + late >= cheapest:
                break
            if (total := looking + late + least[last]) < cheapest:
                cheapest, following[known] = total, last
        least[known] = cheapest
    moments, known = list[float](), 0
    while known < count:
        known = following[known]
        moments.append(shape[known - 1])
    return moments


def best(shape: Shape, cost: float) -> Figures:
    """What the best of all rules spends on a known distribution."""
    moments = best_moments(shape, cost)
    return scored([(job, moments) for job in shape])


def report(pace: Pace) -> dict[str, dict[str, dict[str, Figures]]]:
    """For each shape: the peers, our pace under each kind of eta, and the best of all rules."""
    return {
        name: {
            "peers": {peer: blind(rule, shape) for peer, rule in PEERS.items()},
            "ours": {eta: with_eta(pace, shape, said) for eta, said in ETAS.items()},
            "best": {f"{cost:g}": best(shape, cost) for cost in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        }
        for name, shape in SHAPES.items()
    }


def lines(found: Mapping[str, Mapping[str, Mapping[str, Figures]]]) -> Iterator[str]:
    """The report as a table, and who beats whom."""
    for shape, groups in found.items():
        yield f"\n{shape:40} looks    late"
        for peer, figures in groups["peers"].items():
            yield f"  {peer:36} {figures.polls:7.2f} {figures.late:7.2f}"
        for eta, ours in groups["ours"].items():
            beaten = [peer for peer, theirs in groups["peers"].items() if ours.beats(theirs)]
            beating = [peer for peer, theirs in groups["peers"].items() if theirs.beats(ours)]
            yield (
                f"  {'ours, eta: ' + eta:36} {ours.polls:7.2f} {ours.late:7.2f}"
                f"  beats {len(beaten)} of {len(groups['peers'])}"
                + (f", is beaten by {', '.join(beating)}" if beating else "")
            )
        for cost, figures in groups["best"].items():
            name = f"best if a look costs {cost} s"
            yield f"  {name:36} {figures.polls:7.2f} {figures.late:7.2f}"


def main() -> None:
    """Print the table, and write the figures and the plot where asked."""
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
        options.svg.write_text(drawn(found))


if __name__ == "__main__":
    main()
