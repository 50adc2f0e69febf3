"""TrialBudget: how much more learned steps may cost than plain steps. It plans no poll."""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# Learned steps may save up to this many polls by chance alone.
_LUCKY_POLLS = 5.0
# Savings are capped, so that old savings do not pay for unlimited losses later.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class TrialBudget:
    """
    The extra cost of learned steps over plain steps, where older jobs count less.

    All costs are seconds of delay. A poll costs as much as `poll_cost` seconds.

    Attributes:
        allowed: The extra cost that is allowed: 2 % of the cost with plain steps.
        spent: The extra cost so far; negative if learned steps have saved.
        reserved: The possible extra cost of jobs in progress whose first step is a learned one.
    """

    allowed: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def is_affordable(self) -> bool:
        """Whether the extra cost of learned steps is within what is allowed."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether learned steps have saved clearly more than what chance alone might save."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """Reserve the cost of one more learned first step. Return False if too much is spent."""
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """Count a job's cost with plain steps, and its extra cost with learned steps, if known."""
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
