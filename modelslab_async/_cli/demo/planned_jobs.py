"""Demo jobs: what the demo is made of. Pure, so that the same seed makes the same demo."""

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random

from attrs import frozen

from ... import FAMILIES, Ticket

_FIRST_ID = 13_443_927


@frozen(kw_only=True)
class Order:
    """
    What the demo's service is to plant.

    Args:
        count: How many jobs, of all families in turn.
        seed: Where the draws start.
        failing: The share of jobs that fail.
        shortest: The least seconds a job takes.
        longest: The most.
    """

    count: int
    seed: int
    failing: float
    shortest: float
    longest: float


@frozen
class Planted:
    """The truth about one job: its ticket, how many seconds it takes, whether it fails."""

    ticket: str
    duration: float
    fails: bool


def draw(order: Order) -> Iterator[Planted]:
    """The jobs of an order."""
    random = Random(order.seed)  # noqa: S311 -- a demo wants the same jobs from the same seed.
    families = islice(cycle(FAMILIES.values()), order.count)
    for number, family in enumerate(families, _FIRST_ID):
        parts = max(1, len(family.id_parts))
        id_ = "/".join((*("demo",) * (parts - 1), str(number)))
        yield Planted(
            ticket=str(Ticket(family.name, id_)),
            duration=random.uniform(order.shortest, order.longest),
            fails=random.random() < order.failing,
        )
