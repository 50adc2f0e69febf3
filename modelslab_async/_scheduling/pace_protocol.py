"""
The protocols that `Pace`, `AdaptivePace` and a caller's own pace fulfil.

A pace only decides when to poll. The caller passes in the job's age and a random number.
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
            eta: The seconds until the server expects the job to be done; None if there is no eta.
            jitter: A random number from 0 to 1, to spread the polls of tickets that were added at
                the same time.
            just_submitted: Whether the job was submitted just now, so that it cannot be done yet.
        """
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Return the seconds from one poll to the next, for a job that is still running.

        Args:
            age: The seconds since the client began to wait for the ticket.
            jitter: A random number from 0 to 1.
            eta: The age at which the server expects the job to be done; None if there is no eta.
        """
        ...

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """
        Learn how long a job ran. A pace that does not learn does nothing.

        Args:
            last_running: The age at which the job was last seen running.
            first_done: The age at which the job was first seen done; None if no poll saw it done.
            eta: The age at which the server expected the job to be done; None if there is no eta.
        """
        ...


class RetryLimits(Protocol):
    """How long to back off after failures, and when to give up. Each `Pace` has these limits."""

    @property
    def floor(self) -> float:
        """
        The minimum number of seconds to pause if the server asks for a pause after a rate limit.

        Webhooks and `Client.nudge` make a ticket due early. `floor` is also the minimum number of
        seconds between two such due times of one ticket.
        """
        ...

    @property
    def ceiling(self) -> float:
        """The longest time between two polls of a ticket, in seconds."""
        ...

    @property
    def max_failures(self) -> int:
        """The number of failed polls in a row after which the wait for a ticket ends."""
        ...

    @property
    def outage(self) -> float:
        """If all polls of a host fail for this many seconds, all waits for its tickets end."""
        ...

    @property
    def grace(self) -> float:
        """Up to this age in seconds, "not found" means that the server does not know the id yet."""
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Return the seconds from one poll of a ticket to the next, for any family.

        This step is used for tickets that became due during a pause, and for tickets that the
        server does not know yet.
        """
        ...

    def backoff(self, failures: int, jitter: float) -> float:
        """Return the seconds to wait before the next try after this many failures in a row."""
        ...


class PacePolicy(Protocol):
    """Decides when each ticket is polled. `Client(pace=...)` takes an object of this kind."""

    @property
    def limits(self) -> RetryLimits:
        """An object with the retry limits for all families, such as a `Pace`."""
        ...

    def for_family(self, family: str, /) -> FamilyPace:
        """
        Return the pace of one family.

        The client calls this before each step, so it must be fast.
        """
        ...


class PlainPace(FamilyPace, RetryLimits, Protocol):
    """A pace that does not learn, such as `Pace`. An adaptive pace starts from such a pace."""

    def base_step(self, age: float) -> float:
        """
        Return the seconds from one poll to the next, without jitter and without an eta.

        Args:
            age: The job's age at the first of the two polls.
        """
        ...


_PACE_MEMBERS = ("for_family", "limits")
_LIMITS_MEMBERS = ("floor", "ceiling", "max_failures", "outage", "grace", "step", "backoff")


def check_pace(pace: PacePolicy) -> None:
    """
    Raise an error unless an object can be used as a pace.

    Raises:
        TypeError: The object is a class, or lacks a method or an attribute.
    """
    expected = (
        "a Pace, such as Pace.fixed(3) or Pace.adaptive(), or an object with the same methods"
    )
    check_members("pace", pace, _PACE_MEMBERS, expected)
    check_members("pace.limits", pace.limits, _LIMITS_MEMBERS, "a Pace, such as Pace()")
