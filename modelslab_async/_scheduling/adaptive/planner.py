"""
Finds the ages at which polls cost least, given the distribution of a job's duration.

This is the inspection problem. The best density of polls is about the square root of hazard over
cost (Keller 1974). Where the hazard changes fast that law is too coarse, so dynamic programming
finds each poll (Barlow, Hunter and Proschan 1963). It never polls.
"""

from collections.abc import Sequence
from itertools import accumulate

_EPSILON = 1e-6


def best_next_edges(edges: Sequence[float], density: Sequence[float], cost: float) -> list[int]:
    """
    Return for each edge the edge at which to poll next if the job is still running.

    Args:
        edges: The bounds of the bins, one more than there are bins.
        density: The probability that the job ends in each bin.
        cost: The cost of a poll: one more poll is as bad as a delay of this length.
    """
    bins = len(density)
    cumulative = [0.0, *accumulate(density)]
    middles = ((edges[k] + edges[k + 1]) / 2.0 for k in range(bins))
    first_moments = [0.0, *accumulate(p * m for p, m in zip(density, middles, strict=True))]
    least_cost, next_edges = [0.0] * (bins + 1), [bins] * (bins + 1)
    for edge in range(bins - 1, -1, -1):
        if density[edge] < _EPSILON and edge + 1 < bins:
            least_cost[edge], next_edges[edge] = least_cost[edge + 1], next_edges[edge + 1]
            continue
        poll_cost, cheapest = cost * (cumulative[-1] - cumulative[edge]), float("inf")
        for next_edge in range(edge + 1, bins + 1):
            lateness = (
                edges[next_edge] * (cumulative[next_edge] - cumulative[edge])
                - first_moments[next_edge]
                + first_moments[edge]
            )
            if lateness >= cheapest:
                break
            if (total := poll_cost + lateness + least_cost[next_edge]) < cheapest:
                cheapest, next_edges[edge] = total, next_edge
        least_cost[edge] = cheapest
    return next_edges
