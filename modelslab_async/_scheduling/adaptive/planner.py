"""
Inspecting: the cheapest looks at something that ends at a time which only its distribution tells.

How dense the best looks lie goes as the square root of the hazard over the ratio of the costs
(Keller 1974); where the hazard changes fast, as it does at the end of a hump, that law is too
coarse, and dynamic programming finds the looks one by one (Barlow, Hunter and Proschan 1963).
"""

from collections.abc import Sequence
from itertools import accumulate

_NOTHING = 1e-6


def best_next(edges: Sequence[float], density: Sequence[float], cost: float) -> list[int]:
    """
    For each edge, at which edge to look next if it has not ended there.

    Args:
        edges: The ends of the bins; there is one more of them than bins.
        density: How likely it is to end within each bin.
        cost: What a look costs, as the lateness that is as bad.
    """
    bins = len(density)
    below = [0.0, *accumulate(density)]
    middles = ((edges[k] + edges[k + 1]) / 2.0 for k in range(bins))
    moments = [0.0, *accumulate(p * m for p, m in zip(density, middles, strict=True))]
    least, following = [0.0] * (bins + 1), [bins] * (bins + 1)
    for here in range(bins - 1, -1, -1):
        if density[here] < _NOTHING and here + 1 < bins:
            least[here], following[here] = least[here + 1], following[here + 1]
            continue
        looking, cheapest = cost * (below[-1] - below[here]), float("inf")
        for there in range(here + 1, bins + 1):
            late = edges[there] * (below[there] - below[here]) - moments[there] + moments[here]
            if late >= cheapest:
                break
            if (total := looking + late + least[there]) < cheapest:
                cheapest, following[here] = total, there
        least[here] = cheapest
    return following
