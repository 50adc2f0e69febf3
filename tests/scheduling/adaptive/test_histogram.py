"""The histogram of job durations, compared with its definition written out bin by bin."""

import math
import random
from itertools import accumulate, pairwise

import pytest

from modelslab_async._scheduling.adaptive.histogram import EDGES, IntervalHistogram, nearest_edge

BINS = 330
# 0.01 times this factor to the power of the bin's number; 94 bins make a hundredfold.
GROWTH = 100.0 ** (1 / 94)
BINS_TO_TWICE, BINS_TO_TWENTY_TIMES = 14, 61
ETA_BINS = (92, 93, 94)


def histogram_of(jobs):
    histogram = IntervalHistogram()
    for last_running, first_done in jobs:
        histogram.add(last_running, first_done)
    return histogram


def weights_of(jobs):
    """The latest job weighs 1, and each earlier one 1/501 less than the one after it."""
    weights = {}
    for age, (last_running, first_done) in enumerate(reversed(jobs)):
        high = BINS if first_done is None else max(nearest_edge(first_done), 1)
        key = min(nearest_edge(last_running), high - 1), high
        weights[key] = weights.get(key, 0.0) + (500 / 501) ** age
    return weights


def scaled(values):
    return [value / sum(values) for value in values]


def redistributed(weights, density):
    """Each interval's weight, shared by its bins in proportion to their probability."""
    shares = [0.0] * len(density)
    for (low, high), weight in weights.items():
        mass = math.fsum(density[low:high])
        for k in range(low, min(high, len(density))):
            shares[k] += weight * density[k] / mass
    return shares


def smoothed(density):
    padded = [density[0], *density, density[-1]]
    return [
        (left + 2 * here + right) / 4
        for left, here, right in zip(padded, padded[1:], padded[2:], strict=False)
    ]


def spread(weights, density):
    """Each bin over the fewest neighbours with the weight of ten jobs; half a job beyond all."""
    jobs, below = sum(weights.values()), [0.0, *accumulate(density)]

    def around(k, width):
        return range(max(0, k - width), min(len(density), k + width + 1))

    def mass_of(bins):
        return below[bins.stop] - below[bins.start]

    bins = min(BINS, len(density) + BINS_TO_TWENTY_TIMES)
    found = [0.0] * bins
    for k, mass in enumerate(density):
        if mass < 1e-9:
            continue
        width = 0
        while mass_of(around(k, width)) < min(0.5, 10 / jobs):
            width += 1
        neighbours = range(max(0, k - width), min(bins, k + width + 1))
        for other in neighbours:
            found[other] += mass / len(neighbours)
    for k in range(len(density), bins):
        found[k] += 0.5 / jobs / (bins - len(density))
    return scaled(found)


def defined_density(jobs, eta_prior):
    weights = weights_of(jobs)
    top = min(BINS, max(low + BINS_TO_TWICE if high == BINS else high for low, high in weights))
    # The same probability for each second of the square of the duration.
    density = scaled([EDGES[k + 1] ** 2 - EDGES[k] ** 2 for k in range(top)])
    if eta_prior and top > max(ETA_BINS):
        density = [
            (1 - eta_prior) * mass + eta_prior / 3 * (k in ETA_BINS)
            for k, mass in enumerate(density)
        ]
    for _ in range(10):
        density = scaled(smoothed(redistributed(weights, density)))
    if eta_prior:
        density = scaled(redistributed(weights, density))
    return spread(weights, density)


def test_edges_grow_by_five_percent():
    """The first edges are 0 and 0.01, and one of them is 1."""
    assert (331, 0.0, 0.01, 1.0) == (len(EDGES), EDGES[0], EDGES[1], EDGES[95])
    ratios = [later / sooner for sooner, later in pairwise(EDGES[1:])]
    assert GROWTH == pytest.approx(min(ratios)) == pytest.approx(max(ratios))


def test_nearest_edge():
    """It is the nearest by ratio; what is shorter than half of the first edge is none."""
    assert list(range(331)) == [nearest_edge(edge) for edge in EDGES]
    assert [0, 0, 1, 1, 330] == [
        nearest_edge(length) for length in (-1.0, 0.005, 0.0051, 0.0099, 1e9)
    ]
    assert [100, 101] == [nearest_edge(EDGES[100] * GROWTH**part) for part in (0.49, 0.51)]


def some_jobs(seed):
    """Jobs of two kinds, some of them never seen done, between polls that are near or far."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 5, 40))):
        end = rng.lognormvariate(rng.choice((-1.0, 2.0)), 0.5)
        running = end * rng.random()
        yield running, rng.choice((None, end, end, end + rng.random()))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("eta_prior", [0.0, 0.6])
def test_density_is_the_defined_one(seed, eta_prior):
    """The fast sums give what the definition gives, with a prior for the eta and without."""
    jobs = [*some_jobs(seed)]
    assert defined_density(jobs, eta_prior) == pytest.approx(
        histogram_of(jobs).density(eta_prior), rel=1e-6, abs=1e-9
    )


def test_prior_puts_jobs_just_before_their_eta():
    """Wide intervals around the eta are taken to end there."""
    with_prior, without = (
        sum(histogram_of([(0.2, 3.0)] * 9).density(prior)[92:95]) for prior in (0.6, 0.0)
    )
    assert with_prior > 3 * without


def test_list_has_weights_and_forgets_old_jobs():
    """The latest job weighs 1; an interval of less than a thousandth of a job is left out."""
    histogram = histogram_of([(1.0, 2.0), (3.0, 4.0)])
    first, second = (nearest_edge(1.0), nearest_edge(2.0)), (nearest_edge(3.0), nearest_edge(4.0))
    assert [(*first, 0.998), (*second, 1.0)] == histogram.to_list()
    assert [(*first, 0.998), (*second, 1.0)] == histogram.to_list()
    for _ in range(3500):
        histogram.add(5.0, 6.0)
    assert 3502 == histogram.count
    ((*_, weight),) = histogram.to_list()
    assert 500.5 == pytest.approx(weight, abs=0.5)


def test_restored_histogram_has_the_same_density():
    """Counts and weights are kept, and later jobs go on with the same weights."""
    jobs = [(float(n), n + 2.0) for n in range(1, 30)]
    histogram = histogram_of(jobs)
    restored = IntervalHistogram.from_list(histogram.count, histogram.to_list())
    assert 29 == restored.count
    assert histogram.density() == pytest.approx(restored.density(), rel=1e-3, abs=1e-5)
    histogram.add(9.0, None)
    restored.add(9.0, None)
    assert (30, 30) == (histogram.count, restored.count)
    assert histogram.density() == pytest.approx(restored.density(), rel=1e-3, abs=1e-5)
    assert 0 == IntervalHistogram.from_list(5, []).count


@pytest.mark.parametrize(
    ("count", "interval", "is_valid"),
    [
        (1, (0, 1, 1.0), True),
        (1, (0, BINS, 1.0), True),
        (0, (0, 1, 0.99), True),
        (1, (0, 1, 502.0), True),
        (1, (0, 1, 502.1), False),
        (1, (0, 1, 0.98), False),
        (1, (-1, 1, 1.0), False),
        (1, (1, 1, 1.0), False),
        (1, (0, BINS + 1, 1.0), False),
        (-1, (0, 1, 1.0), False),
    ],
)
def test_bounds_of_what_is_restored(count, interval, is_valid):
    """What `to_list` cannot have returned is refused."""
    if is_valid:
        assert count == IntervalHistogram.from_list(count, [interval]).count
    else:
        with pytest.raises(ValueError, match="invalid"):
            IntervalHistogram.from_list(count, [interval])


def test_small_weight_is_restored_beside_a_latest_job():
    """A weight may be rounded to half of the least one that is kept."""
    seen = [(0, 1, 0.0006), (1, 2, 1.0)]
    assert 2 == IntervalHistogram.from_list(2, seen).count
    with pytest.raises(ValueError, match="invalid interval"):
        IntervalHistogram.from_list(2, [(0, 1, 0.0005), (1, 2, 1.0)])


def test_unfinished_job_is_taken_to_end_before_twice_its_age():
    """A job that was never seen done may take up to twice as long, and others up to 20 times."""
    density = histogram_of([(10.0, None)]).density()
    low = nearest_edge(10.0)
    assert low + BINS_TO_TWICE + BINS_TO_TWENTY_TIMES == len(density)
    assert math.isclose(1.0, sum(density))
    assert 0.3 == pytest.approx(sum(density[low + BINS_TO_TWICE :]), abs=0.15)
