"""SharedLimits: the limits of a shared account. All open clients must have the same limits."""

from typing import NamedTuple


class OtherLimits(ValueError):
    """Other clients have opened the shared account with other limits."""


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
