"""SharedLimits: the limits of an account. All of its open clients must have the same limits."""

from typing import NamedTuple


class OtherLimits(ValueError):
    """Open clients of the account have other limits."""


class SharedLimits(NamedTuple):
    """
    The limits of an account.

    Attributes:
        rate: The maximum number of polls a second with one key; None for no limit.
        queue: The maximum number of queued generations for each key; None for no limit.
    """

    rate: float | None
    queue: int | None

    def refusal(self, account: str, recorded: "SharedLimits") -> OtherLimits:
        """Return the error for these limits, if open clients have the limits `recorded`."""
        return OtherLimits(
            f"{account}: this account has rate={recorded.rate!r} and queue={recorded.queue!r} in "
            f"the clients that are open, got rate={self.rate!r} and queue={self.queue!r}; give the "
            "same limits everywhere, or close the other clients first"
        )
