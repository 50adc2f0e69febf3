"""
Plans at which ages to poll a job, based on how long earlier jobs took.

Each poll has a cost, and so has the delay from the end of a job to the next poll. The plan has the
lowest expected sum of both costs. `docs/explanation/pacing.md` names the theory.
"""

from collections.abc import Sequence
from itertools import accumulate

_EPSILON = 1e-6


def best_next_edges(edges: Sequence[float], density: Sequence[float], cost: float) -> list[int]:
    """
    Return, for a poll at each edge, the best edge for the next poll.

    A bin is a range of a job's age. An edge is an age at which a bin begins or ends. If a poll at
    edge `i` finds the job still running, the best edge for the next poll is item `i` of the list.
    Each item is the index of an edge.

    Args:
        edges: The edges of the bins, in ascending order.
        density: For each bin, the probability that the job ends in it.
        cost: The delay that costs as much as one more poll, in the unit of the edges.
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
