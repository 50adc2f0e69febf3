"""Pace: says when to poll next, and when to give up."""

from collections.abc import Mapping
from typing import Any, Self

from attrs import frozen

from .._models.argument_checks import check_count, check_nonnegative_seconds, check_number
from .adaptive.adaptive_pace import AdaptivePace

_MIN_STEP_S = 0.001
_MAX_BACKOFF_S = 60.0


@frozen(kw_only=True)
class Pace:
    """
    The rule that says when each ticket is polled.

    A step is the time from one poll of a ticket to the next. The first poll is due at once, or
    after one step if the job was submitted just now. The step after a poll depends on the job's age
    T:

        step(T) = min(max(min(floor + growth * T, growth_cap), age_fraction * T), ceiling)

    If a job without an eta ends at age T, a poll sees the end at most step(T) plus one round trip
    later. The number of polls grows with the logarithm of T.

    If the server gave an eta (an estimate of when the job ends), the next step ends at the eta. But
    this step is at most as long as `max_eta_wait` or the job's age, whichever is longer. So a wrong
    eta costs little.

    Args:
        floor: The step of a job at age 0, in seconds.
        growth: The fraction of a job's age that is added to `floor`.
        growth_cap: The upper limit of `floor + growth * T`, in seconds. A value below `floor`
            counts as `floor`.
        age_fraction: A step is at least this fraction of a job's age.
        ceiling: The longest step, in seconds.
        max_eta_wait: The longest step to an eta, in seconds. If the job's age is higher, the age is
            the limit. With 0, all etas are ignored.
        jitter: The fraction of each step that is random. The random part shortens a step. If a step
            ends at an eta, the random part lengthens it a little instead.
        max_failures: The number of failed polls in a row after which a ticket ends as `Unresolved`.
        outage: If all polls of a host fail for this many seconds, all waits for its tickets end.
        grace: For a ticket younger than this many seconds, "not found" means that the server does
            not know the id yet.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of its range.
    """

    floor: float = 2.5
    growth: float = 0.3
    growth_cap: float = 9.5
    age_fraction: float = 0.05
    ceiling: float = 300.0
    max_eta_wait: float = 75.0
    jitter: float = 0.1
    max_failures: int = 10
    outage: float = 3600.0
    grace: float = 5.0

    def __attrs_post_init__(self) -> None:
        self._check_numbers()
        if self.ceiling < self.floor:
            raise ValueError(f"ceiling ({self.ceiling}) is less than floor ({self.floor})")

    def _check_numbers(self) -> None:
        for name in ("floor", "ceiling"):
            expected = f"a number of seconds of at least {_MIN_STEP_S}"
            check_number(name, getattr(self, name), expected, lambda step: step >= _MIN_STEP_S)
        for name in ("growth_cap", "max_eta_wait", "outage", "grace"):
            check_nonnegative_seconds(name, getattr(self, name))
        for name in ("growth", "age_fraction"):
            expected = "a fraction of at least 0"
            check_number(name, getattr(self, name), expected, lambda fraction: fraction >= 0)
        check_number("jitter", self.jitter, "a fraction from 0 to 1", lambda part: 0 <= part <= 1)
        check_count("max_failures", self.max_failures, unit="failed polls")

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """Make a pace whose steps are all equally long, as in a hand-written loop."""
        return cls(
            floor=seconds,
            growth=0.0,
            age_fraction=0.0,
            ceiling=seconds,
            max_eta_wait=0.0,
            jitter=0.0,
        )

    @staticmethod
    def adaptive(
        plain: "Pace | None" = None,
        *,
        poll_cost: float = 1.0,
        saved: Mapping[str, Any] | None = None,
    ) -> AdaptivePace:
        """
        Make a pace that starts like `plain`, and learns how long the jobs of each family take.

        Args:
            plain: The pace to start with; `Pace()` if None.
            poll_cost: The delay, in seconds, that costs as much as one more poll.
            saved: A result of `AdaptivePace.to_dict` to continue from; None to start anew.

        Raises:
            ValueError: `poll_cost` is not above 0, or `saved` did not come from `to_dict`.
        """
        adaptive = AdaptivePace(plain or Pace(), poll_cost)
        if saved is not None:
            adaptive.restore(saved)
        return adaptive

    @property
    def limits(self) -> Self:
        """The object that holds the retry limits: the pace itself."""
        return self

    def for_family(self, _family: str, /) -> Self:
        """Return the pace itself, because it is the same for every family."""
        return self

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """Do nothing, because a plain pace does not learn."""

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """
        Return the seconds until the first poll.

        Args:
            eta: The seconds until the server expects the job to be done; None if there is no eta.
            jitter: A random number from 0 to 1.
            just_submitted: Whether the job was submitted just now, so that it cannot be done yet.
        """
        if just_submitted or (eta and self.max_eta_wait):
            return self.step(0.0, jitter, eta=eta)
        return 0.0

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Return the seconds from one poll to the next.

        Args:
            age: The seconds since the client began to wait for the ticket.
            jitter: A random number from 0 to 1.
            eta: The age at which the server expects the job to be done; None if there is no eta.
        """
        shortening = self.jitter * jitter
        if eta is None or eta <= age or not self.max_eta_wait:
            return self.base_step(age) * (1.0 - shortening)
        # Let jitter only delay a poll at the eta. If jitter advanced the poll, and the eta was
        # correct, the poll would find the job still running.
        longest_wait = min(max(self.max_eta_wait, age), self.ceiling) * (1.0 - shortening)
        return min(eta - age + self.base_step(eta) * shortening, longest_wait)

    def base_step(self, age: float) -> float:
        """
        Return the seconds from one poll to the next, without jitter and without an eta.

        Args:
            age: The job's age at the first of the two polls.
        """
        grown = min(self.floor + self.growth * age, max(self.growth_cap, self.floor))
        return min(max(grown, self.age_fraction * age), self.ceiling)

    def backoff(self, failures: int, jitter: float) -> float:
        """Return the seconds to wait before the next try after this many failures in a row."""
        limit = max(self.floor, _MAX_BACKOFF_S)
        return min(self.floor * 2.0 ** min(failures - 1, 30), limit) * (1.0 - 0.5 * jitter)
