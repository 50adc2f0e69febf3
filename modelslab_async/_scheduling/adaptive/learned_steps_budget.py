"""
LearnedStepsBudget: limits how much more learned steps may cost than plain steps.

A step is the time between two polls of a ticket. Learned steps are computed from finished jobs.
Plain steps are those of a pace that does not learn.
"""

from attrs import define

_ALLOWED_FRACTION = 0.02
_MEMORY_JOBS = 200.0
# A saving of at most the cost of this many polls may be chance, so `has_paid_off` ignores it.
_LUCKY_POLLS = 5.0
# The maximum saving that a budget records, as a multiple of the saving that `has_paid_off`
# requires. Without a maximum, one large saving would allow high extra costs for a long time.
_MAX_SAVED_RATIO = 2.0


@define(eq=False)
class LearnedStepsBudget:
    """
    Compares the cost of polls with learned steps to the cost of polls with plain steps.

    Older jobs count less.

    All costs are in seconds of delay. A poll costs as much as a delay of `poll_cost` seconds.

    Attributes:
        allowed: The extra cost that is allowed: 2 % of the cost with plain steps.
        spent: The extra cost so far; negative if learned steps have cost less.
        reserved: The cost that is reserved for running jobs whose first step was learned.
    """

    allowed: float = 0.0
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def is_affordable(self) -> bool:
        """Whether the extra cost so far is at most `allowed`."""
        return self.spent <= self.allowed

    def has_paid_off(self, poll_cost: float) -> bool:
        """Whether learned steps have saved more than chance explains."""
        return self.spent < -self.allowed - _LUCKY_POLLS * poll_cost

    def try_reserve(self, poll_cost: float) -> bool:
        """
        Reserve the cost of one poll for a job whose first step is learned.

        If the budget is used up, reserve nothing. Return whether the cost was reserved.
        """
        if self.spent + self.reserved > self.allowed:
            return False
        self.reserved += poll_cost
        return True

    def record(self, plain_cost: float, extra: float | None, poll_cost: float) -> None:
        """
        Record what polling a finished job would have cost, with plain and with learned steps.

        Args:
            plain_cost: The cost that plain steps would have had.
            extra: How much more learned steps would have cost; None if this is unknown.
            poll_cost: The cost of one poll.
        """
        decay = 1.0 - 1.0 / _MEMORY_JOBS
        self.allowed = self.allowed * decay + _ALLOWED_FRACTION * plain_cost
        self.spent *= decay
        self.reserved *= decay
        if extra is not None:
            lowest = -_MAX_SAVED_RATIO * (self.allowed + _LUCKY_POLLS * poll_cost)
            self.spent = max(self.spent + extra, lowest)
            self.reserved = max(0.0, self.reserved - poll_cost)
