"""Rules: what the schedule asks of a pace. A plain pace answers as well as one that learns."""

from typing import Protocol


class FamilyPace(Protocol):
    """When the tickets of one family are looked at."""

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """Seconds until the first look, given the seconds that the server says are left."""
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Seconds from one look to the next, given the age at which it should be over."""
        ...

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """Hear of a job: the age when last seen running, and when first seen over, if it was."""
        ...


class RetryLimits(Protocol):
    """How to back off from trouble, and when to stop asking."""

    @property
    def floor(self) -> float:
        """The shortest pause that is worth making."""
        ...

    @property
    def ceiling(self) -> float:
        """The most seconds between two looks at a ticket."""
        ...

    @property
    def max_failures(self) -> int:
        """How many looks in a row may go wrong before a ticket's wait ends."""
        ...

    @property
    def outage(self) -> float:
        """For how many seconds a host may answer nothing before every wait for it ends."""
        ...

    @property
    def grace(self) -> float:
        """Seconds for which "request not found" is taken for "not known yet"."""
        ...

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Seconds until the next look at a ticket that the server does not know yet."""
        ...

    def backoff(self, failures: int, jitter: float) -> float:
        """Seconds to leave alone what has gone wrong `setbacks` times in a row."""
        ...


class PacePolicy(Protocol):
    """What a client is given for a pace."""

    @property
    def limits(self) -> RetryLimits:
        """What holds in trouble, for every family alike."""
        ...

    def for_family(self, family: str, /) -> FamilyPace:
        """The steps of one family."""
        ...


class PlainPace(FamilyPace, RetryLimits, Protocol):
    """A rule to begin with, and to measure others by."""

    def base_step(self, age: float) -> float:
        """The seconds of a step at that age, before chance shortens it."""
        ...
