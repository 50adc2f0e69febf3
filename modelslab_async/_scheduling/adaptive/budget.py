"""Purse: how much may be spent on trying, and whether what was tried has proved cheaper."""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# Luck alone does not save so many looks.
_LUCKY_POLLS = 5.0
# What was saved long ago does not pay for what is lost today.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class TrialBudget:
    """
    Counts in seconds of lateness; the older, the less.

    Attributes:
        allowed: What may be spent: a fiftieth of what the plain pace would have cost.
        spent: What learned looks cost above the plain pace's; less than nothing where they saved.
        reserved: What looks may cost that were tried, and of which nobody heard yet.
    """

    allowed: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def is_affordable(self) -> bool:
        """Whether learned looks cost no more than they may."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether learned looks have saved more than they may cost, at that price of a look."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """Have one more job tried, if there is enough for a look more."""
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """Count a job: what it cost as usual, and how much more with learned looks, if known."""
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
