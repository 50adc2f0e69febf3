"""Jobs: how long emulated jobs take and how they end."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, TypeAlias

from attrs import field, frozen

from .setting_validators import check_share, check_shares

Eta: TypeAlias = Literal["honest", "none", "pessimistic"] | float

# The factor of a pessimistic ETA. The service once announced 960 seconds for a video that took 9
# seconds.
_PESSIMISTIC_FACTOR = 100.0
_ETA_FACTORS: Mapping[str, float | None] = {
    "honest": 1.0,
    "none": None,
    "pessimistic": _PESSIMISTIC_FACTOR,
}


def _check_eta(_instance: object, _attribute: object, value: Eta) -> None:
    known = value in _ETA_FACTORS if isinstance(value, str) else value >= 0
    if not known:
        raise ValueError(
            f"eta is 'honest', 'none', 'pessimistic' or a factor of at least 0, got {value!r}"
        )


@frozen(kw_only=True)
class Jobs:
    """
    How long jobs take, and how they end.

    `Emulator.add_job` can override both for a single job.

    Args:
        duration: How many seconds a job takes, drawn uniformly from this range. A callable gets a
            `random.Random` and returns the seconds. If a job takes zero seconds or less, the reply
            to its submit already contains the result.
        failure_rate: The share of jobs that fail, from 0 to 1.
        immediate: The share of submits whose reply already contains the result, from 0 to 1, or a
            mapping from family names to shares. The service sends such replies for fast models.
        eta: The ETA in submit replies: `"honest"`, `"none"`, `"pessimistic"` (100 times too long)
            or a number by which the honest ETA is multiplied.
        seed: The seed of the draws. The same seed and the same order of jobs give the same jobs.

    Raises:
        ValueError: An argument is out of its range.
    """

    duration: tuple[float, float] | Callable[[Random], float] = (2.0, 6.0)
    failure_rate: float = field(default=0.0, validator=check_share)
    immediate: float | Mapping[str, float] = field(default=0.0, validator=check_shares, hash=False)
    eta: Eta = field(default="honest", validator=_check_eta)
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        if not callable(self.duration):
            low, high = self.duration
            if low > high:
                raise ValueError(
                    f"duration is (shortest, longest) in seconds or a callable, "
                    f"got {self.duration!r}"
                )

    def draw(self, random: Random) -> tuple[float, bool]:
        """Draw how many seconds one job takes and whether it fails."""
        seconds = (
            self.duration(random) if callable(self.duration) else random.uniform(*self.duration)
        )
        return seconds, random.random() < self.failure_rate

    def draw_submitted(self, random: Random, family: str) -> tuple[float, bool]:
        """
        Draw how many seconds a submitted job takes, and whether it fails.

        This works like `draw`, but with the probability `immediate`, the job takes no time.
        """
        seconds, fails = self.draw(random)
        share = self.immediate
        if isinstance(share, Mapping):
            share = share.get(family, 0.0)
        # If the share is 0, take no further random number. So with equal seeds, this method and
        # `draw` give the same jobs.
        if share and random.random() < share:
            seconds = 0.0
        return seconds, fails

    def announced_eta(self, seconds: float) -> float | None:
        """Return the ETA in the submit reply of a job that takes this many seconds."""
        factor = _ETA_FACTORS[self.eta] if isinstance(self.eta, str) else self.eta
        return None if factor is None else max(0.0, seconds) * factor
