"""Demo jobs: what the demo is made of. Pure, so that the same seed makes the same demo."""

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random

from attrs import frozen

from ... import FAMILIES, Ticket

_FIRST_ID = 13_443_927


@frozen(kw_only=True)
class DemoPlan:
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
    failure_rate: float
    min_duration: float
    max_duration: float


@frozen
class PlannedJob:
    """The truth about one job: its ticket, how many seconds it takes, whether it fails."""

    ticket: str
    duration: float
    fails: bool


def plan_jobs(plan: DemoPlan) -> Iterator[PlannedJob]:
    """The jobs of an order."""
    random = Random(plan.seed)  # noqa: S311 -- a demo wants the same jobs from the same seed.
    families = islice(cycle(FAMILIES.values()), plan.count)
    for number, family in enumerate(families, _FIRST_ID):
        parts = max(1, len(family.id_parts))
        id_ = "/".join((*("demo",) * (parts - 1), str(number)))
        yield PlannedJob(
            ticket=str(Ticket(family.name, id_)),
            duration=random.uniform(plan.min_duration, plan.max_duration),
            fails=random.random() < plan.failure_rate,
        )
