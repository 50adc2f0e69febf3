"""SharedLimits: the limits of a shared account. All open clients must have the same limits."""

from typing import Final, NamedTuple

from .._models.argument_checks import MAX_INT32, check_count, check_rate

# PostgreSQL numbers the permits of a rate, and stores the queue, in 32 bits. An SQLite file has the
# same limits.
MAX_ACCOUNT_LIMIT: Final = MAX_INT32


class OtherLimits(ValueError):
    """Other clients have opened the shared account with other limits."""


def check_account_limits(rate: float | None, queue: int | None) -> None:
    """
    Raise an error unless a shared account can have these limits. None means no limit.

    Raises:
        TypeError: A limit is not a number.
        ValueError: A limit is 0, negative or too high, or the rate is NaN.
    """
    check_rate("rate", rate, unit="polls")
    if rate is not None and rate > MAX_ACCOUNT_LIMIT:
        raise ValueError(
            f"rate is at most {MAX_ACCOUNT_LIMIT} polls a second, got {rate}; "
            "give None for no limit"
        )
    check_count("queue", queue, unit="slots", most=MAX_ACCOUNT_LIMIT, optional=True)


class SharedLimits(NamedTuple):
    """
    The limits of a shared account.

    Attributes:
        rate: The maximum number of polls a second with one API key; None for no limit.
        queue: The maximum number of queued generations for each API key; None for no limit.
    """

    rate: float | None
    queue: int | None

    def refusal(self, account: str, recorded: "SharedLimits") -> OtherLimits:
        """Return the error for a client whose limits differ from the `recorded` ones."""
        return OtherLimits(
            f"{account}: this account has rate={recorded.rate!r} and queue={recorded.queue!r} in "
            f"the clients that are open, got rate={self.rate!r} and queue={self.queue!r}; give the "
            "same limits everywhere, or close the other clients first"
        )
