"""
Inspecting: the cheapest looks at something that ends at a time which only its distribution tells.

How dense the best looks lie goes as the square root of the hazard over the ratio of the costs
(Keller 1974); where the hazard changes fast, as it does at the end of a hump, that law is too
coarse, and dynamic programming finds the looks one by one (Barlow, Hunter and Proschan 1963).
"""

from collections.abc import Sequence
from itertools import accumulate

_EPSILON = 1e-6


def best_next_edges(edges: Sequence[float], density: Sequence[float], cost: float) -> list[int]:
    """
    For each edge, at which edge to look next if it has not ended there.

    Args:
        edges: The ends of the bins; there is one more of them than bins.
        density: How likely it is to end within each bin.
        cost: What a look costs, as the lateness that is as bad.
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
