"""
Protocols of a pace. `Pace` and `AdaptivePace` fulfil them, and a caller's own object may too.

A pace decides when to poll. It never polls, and it gets the time and a random number as arguments.
"""

from typing import Protocol

from .._models.argument_checks import check_members


class FamilyPace(Protocol):
    """Decides when the tickets of one family are polled."""

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """
        Return the seconds until the first poll of a ticket.

        Args:
            eta: The seconds until the server expects the job to be done; None if it gave no eta.
            jitter: A random number from 0 to 1, to spread tickets that come together.
            just_submitted: Whether the job was submitted just now, so that it cannot be done yet.
        """
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Return the seconds from one poll to the next, for a job that is still running.

        Args:
            age: For how many seconds the client has known the ticket.
            jitter: A random number from 0 to 1.
            eta: The age at which the server expects the job to be done; None if it gave no eta.
        """
        ...

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """
        Learn how long a job ran. A pace that does not learn does nothing.

        Args:
            last_running: The age at which the job was last seen running.
            first_done: The age at which it was first seen done; None if the client stopped waiting.
            eta: The age at which the server expected it to be done; None if it gave no eta.
        """
        ...


class RetryLimits(Protocol):
    """How to back off after failures, and when to give up. A `Pace` has these limits."""

    @property
    def floor(self) -> float:
        """The shortest pause, in seconds."""
        ...

    @property
    def ceiling(self) -> float:
        """The longest time between two polls of a ticket, in seconds."""
        ...

    @property
    def max_failures(self) -> int:
        """The number of failed polls in a row that ends the wait for a ticket."""
        ...

    @property
    def outage(self) -> float:
        """The seconds of silence of a host after which the waits for its tickets end."""
        ...

    @property
    def grace(self) -> float:
        """The age in seconds below which "not found" does not end a ticket."""
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Return the seconds between polls of a ticket that is in a backlog or not found yet."""
        ...

    def backoff(self, failures: int, jitter: float) -> float:
        """Return the seconds to wait after this many failures or pauses in a row."""
        ...


class PacePolicy(Protocol):
    """Decides when each ticket is polled. `Client(pace=...)` takes such an object."""

    @property
    def limits(self) -> RetryLimits:
        """The retry limits for all families, such as `Pace()`."""
        ...

    def for_family(self, family: str, /) -> FamilyPace:
        """Return the pace of one family. It is called before each step, so it must be fast."""
        ...


class PlainPace(FamilyPace, RetryLimits, Protocol):
    """A pace that does not learn. An adaptive pace starts from it and compares costs with it."""

    def base_step(self, age: float) -> float:
        """Return the seconds until the next poll of a job of this age, without jitter and eta."""
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
