"""TrialBudget: limits the extra cost of learned steps over plain steps. It plans no poll."""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# The number of polls that learned steps may save by chance alone. A saving of this size does not
# prove that learned steps cost less than plain steps.
_LUCKY_POLLS = 5.0
# The maximum saving that is counted, divided by a sum: the allowed extra cost plus the cost of
# `_LUCKY_POLLS` polls. Without a maximum, learned steps that once saved much could cost too much
# for a long time.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class TrialBudget:
    """
    Counts the extra cost of learned steps over plain steps. Older jobs count less.

    All costs are in seconds of delay. A poll costs as much as a delay of `poll_cost` seconds.

    Attributes:
        allowed: The extra cost that is allowed: 2 % of the cost with plain steps.
        spent: The extra cost so far; negative if learned steps have saved.
        reserved: The extra cost that jobs in progress may still cause by a learned first step.
    """

    allowed: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def is_affordable(self) -> bool:
        """Whether the extra cost of learned steps is not above the allowed extra cost."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether learned steps have saved more than they may save by chance alone."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """Reserve the cost of a learned first step. Return False if the budget is used up."""
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """Count a job's cost with plain steps, and the extra cost with learned steps, if known."""
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
