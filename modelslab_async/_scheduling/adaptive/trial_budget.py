"""TrialBudget: how much learned steps may cost more than plain ones. It plans no poll."""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# Chance alone rarely saves more polls than this.
_LUCKY_POLLS = 5.0
# Old savings must not pay for unlimited losses today.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class TrialBudget:
    """
    The cost of learned steps beside that of plain ones, where older jobs count less.

    The unit is a second of delay: a poll costs `poll_cost` of them.

    Attributes:
        allowed: What learned steps may cost more: 2 % of what the plain pace would have cost.
        spent: What learned steps have cost more; negative where they have saved.
        reserved: What trials that are still running may cost.
    """

    allowed: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def is_affordable(self) -> bool:
        """Whether learned steps have stayed within what is allowed."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether learned steps have saved more than they may cost, and more than chance saves."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """Reserve the cost of one more trial. False if the budget does not allow it."""
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """Count a job: its cost with the plain pace, and what learned steps added, if known."""
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
