"""Plans the jobs of the demo. The same seed always gives the same jobs."""

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random

from attrs import frozen

from ... import FAMILIES, Ticket

_FIRST_ID = 13_443_927


@frozen(kw_only=True)
class DemoPlan:
    """
    The number, the durations and the failures of the demo's jobs, as the user chose them.

    Attributes:
        count: The number of jobs, spread evenly over the families.
        seed: The seed of the random numbers.
        failure_rate: The probability that a job fails.
        min_duration: The shortest duration of a job, in seconds.
        max_duration: The longest duration of a job, in seconds.
    """

    count: int
    seed: int
    failure_rate: float
    min_duration: float
    max_duration: float


@frozen
class PlannedJob:
    """A job of the demo: its ticket, how many seconds it takes, and whether it fails."""

    ticket: str
    duration: float
    fails: bool


def plan_jobs(plan: DemoPlan) -> Iterator[PlannedJob]:
    """Yield the jobs of a plan, with random durations and failures."""
    random = Random(plan.seed)  # noqa: S311 -- the jobs must be reproducible, not secret.
    families = islice(cycle(FAMILIES.values()), plan.count)
    for number, family in enumerate(families, _FIRST_ID):
        parts = max(1, len(family.id_parts))
        id_ = "/".join((*("demo",) * (parts - 1), str(number)))
        yield PlannedJob(
            ticket=str(Ticket(family.name, id_)),
            duration=random.uniform(plan.min_duration, plan.max_duration),
            fails=random.random() < plan.failure_rate,
        )
