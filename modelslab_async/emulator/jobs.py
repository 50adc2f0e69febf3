"""Jobs: how long emulated work takes and how it ends. Never reads a clock."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Literal, TypeAlias

from attrs import Attribute, field, frozen

from modelslab_async._models.ticket import Ticket

Eta: TypeAlias = Literal["honest", "none", "pessimistic"] | float

# Recorded: 960 seconds announced for a video that took nine.
_PESSIMISTIC_FACTOR = 100.0
_ETA_FACTORS: Mapping[str, float | None] = {
    "honest": 1.0,
    "none": None,
    "pessimistic": _PESSIMISTIC_FACTOR,
}


def _check_share(_instance: object, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is a share from 0.0 to 1.0, got {value!r}")


def _check_eta(_instance: object, _attribute: object, value: Eta) -> None:
    known = value in _ETA_FACTORS if isinstance(value, str) else value >= 0
    if not known:
        raise ValueError(
            f"eta is 'honest', 'none', 'pessimistic' or a factor of at least 0, got {value!r}"
        )


def _no_fields() -> dict[str, Any]:
    return {}


@frozen(kw_only=True)
class Jobs:
    """
    How jobs behave that were not planted with a behaviour of their own.

    Args:
        duration: Seconds from submit to end, drawn evenly from this range; or a callable that draws
            them from the `random.Random` it is given. Zero or less: the submit reply is the result.
        failing: The share of jobs that end as failed, from 0 to 1.
        at_once: The share of submits whose reply is the result, from 0 to 1, as fast models do.
        eta: What submit replies say about the time left: `"honest"`, `"none"`, `"pessimistic"` (a
            hundred times as long) or a factor.
        seed: Where the draws start. The same seed and the same order of jobs give the same jobs.

    Raises:
        ValueError: An argument is out of its range.
    """

    duration: tuple[float, float] | Callable[[Random], float] = (2.0, 6.0)
    failure_rate: float = field(default=0.0, validator=_check_share)
    immediate: float = field(default=0.0, validator=_check_share)
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
        """Draw how long one job takes and whether it fails."""
        seconds = (
            self.duration(random) if callable(self.duration) else random.uniform(*self.duration)
        )
        return seconds, random.random() < self.failure_rate

    def draw_submitted(self, random: Random) -> tuple[float, bool]:
        """Draw for a submit: some of them are over before they are answered."""
        seconds, fails = self.draw(random)
        # No draw where none is wanted, so that the jobs of a seed stay what they were.
        if self.immediate and random.random() < self.immediate:
            seconds = 0.0
        return seconds, fails

    def announced_eta(self, seconds: float) -> float | None:
        """What a submit reply says about work that will take so many seconds."""
        factor = _ETA_FACTORS[self.eta] if isinstance(self.eta, str) else self.eta
        return None if factor is None else max(0.0, seconds) * factor


@frozen(kw_only=True)
class Job:
    """
    One job: everything about it that does not change. Its state is a function of the time.

    Args:
        ticket: The ticket it was planted or submitted as.
        work: What the dialect table calls this work: a family, or `family/endpoint`.
        suffix: The file type of its results.
        started: When it started, by the emulator's clock.
        duration: How many seconds it takes.
        fails: Whether it ends as failed.
        fields: The parameters of its submit, without the key.
        files: How many files it makes.
        output: What replies give as the output instead of links to files.
    """

    ticket: Ticket
    job_type: str
    suffix: str
    started: float
    duration: float
    fails: bool
    fields: Mapping[str, Any] = field(factory=_no_fields)
    files: int = 1
    output: object = None

    def age(self, now: float) -> float:
        """Seconds since the start, at most those that the job takes."""
        return min(now - self.started, self.duration)

    def has_ended(self, now: float) -> bool:
        """Whether it has come to its end, good or bad."""
        return now - self.started >= self.duration

    def has_succeeded(self, now: float) -> bool:
        """Whether it has ended well, so that its files are there."""
        return not self.fails and self.has_ended(now)
