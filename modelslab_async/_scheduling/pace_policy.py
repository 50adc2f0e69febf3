"""
What a pace must have. `Pace` and `AdaptivePace` do, and so may any object of a caller's own.

A pace decides when to poll. It never polls, and it gets the time and a random number as arguments.
"""

from typing import Protocol

from .._models.validation import check_members


class FamilyPace(Protocol):
    """When the tickets of one family are polled."""

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """
        Seconds until the first poll of a ticket.

        Args:
            eta: The seconds that the server expects the job to take still, if it said so.
            jitter: A random number from 0 to 1, to spread tickets that come together.
            just_submitted: Whether the job was submitted just now, so that it cannot be done yet.
        """
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Seconds from one poll to the next, for a job that is still running.

        Args:
            age: For how many seconds the client has known the ticket.
            jitter: A random number from 0 to 1.
            eta: The age at which the server expects the job to be done, if it said so.
        """
        ...

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """
        Take note of how long a job ran. A pace that does not learn ignores it.

        Args:
            last_running: The age at which it was last seen running.
            first_done: The age at which it was first seen done; None if the client stopped waiting.
            eta: The age at which the server expected it to be done, if it said so.
        """
        ...


class RetryLimits(Protocol):
    """How to back off from trouble, and when to give up. A `Pace` is one."""

    @property
    def floor(self) -> float:
        """The least seconds of a pause."""
        ...

    @property
    def ceiling(self) -> float:
        """The most seconds between two polls of a ticket."""
        ...

    @property
    def max_failures(self) -> int:
        """How many polls in a row may fail before the wait for a ticket ends."""
        ...

    @property
    def outage(self) -> float:
        """For how many seconds a host may be silent before all waits for it end."""
        ...

    @property
    def grace(self) -> float:
        """For how many seconds "not found" means that the server does not know the ticket yet."""
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Seconds until the next poll of a ticket that the server does not know yet."""
        ...

    def backoff(self, failures: int, jitter: float) -> float:
        """Seconds to wait after so many failures in a row."""
        ...


class PacePolicy(Protocol):
    """When each ticket is polled: what `Client(pace=...)` takes."""

    @property
    def limits(self) -> RetryLimits:
        """How to back off and when to give up, for all families. `Pace()` will do."""
        ...

    def for_family(self, family: str, /) -> FamilyPace:
        """The pace of one family. It is called before each step, so it must be fast."""
        ...


class PlainPace(FamilyPace, RetryLimits, Protocol):
    """A pace that does not learn, which an adaptive pace starts from and is measured by."""

    def base_step(self, age: float) -> float:
        """The seconds of a step at an age, without jitter and without an eta."""
        ...


_PACE_MEMBERS = ("for_family", "limits")
_LIMITS_MEMBERS = ("floor", "ceiling", "max_failures", "outage", "grace", "step", "backoff")


def check_pace(pace: PacePolicy) -> None:
    """
    Make sure that an object can be used as a pace.

    Raises:
        TypeError: A method or attribute is missing.
    """
    expected = (
        "a Pace, such as Pace.fixed(3) or Pace.adaptive(), or an object with the same methods"
    )
    check_members("pace", pace, _PACE_MEMBERS, expected)
    check_members("pace.limits", pace.limits, _LIMITS_MEMBERS, "a Pace, such as Pace()")
