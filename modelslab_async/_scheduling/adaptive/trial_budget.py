"""
TrialBudget: limits the extra cost of learned steps over plain steps. It plans no poll.

A step is the time between two polls of a ticket. Learned steps are computed from finished jobs.
Plain steps are those of a pace that does not learn.
"""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# Polling at times learned from finished jobs may save this number of polls by chance alone. Such a
# saving does not prove that the learned times are better than those of the plain pace.
_LUCKY_POLLS = 5.0
# The saving that is counted is at most this many times the sum of the allowed extra cost and the
# cost of `_LUCKY_POLLS` polls. Without a maximum, one large saving would allow high extra costs for
# a long time.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class TrialBudget:
    """
    Counts the extra cost of learned steps over plain steps. Older jobs count less.

    A step is the time between two polls of a ticket. Learned steps are computed from finished jobs.
    Plain steps are those of a pace that does not learn.

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
        """Whether the extra cost of polling at learned times is at most what is allowed."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether polling at learned times has saved more than it may save by chance alone."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """
        Reserve the cost of one poll, for a job whose first poll comes at a learned time.

        Return False if the budget is used up.
        """
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """
        Record what a finished job costs with plain steps, and the extra cost with learned steps.

        `extra` is None if the extra cost is unknown.
        """
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
