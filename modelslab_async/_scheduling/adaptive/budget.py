"""Purse: how much may be spent on trying, and whether what was tried has proved cheaper."""

from attrs import define

_SHARE = 0.02
_MEMORY = 200.0
# Luck alone does not save so many looks.
_LUCK = 5.0
# What was saved long ago does not pay for what is lost today.
_MOST = 2.0


@define(eq=False)
class Purse:
    """
    Counts in seconds of lateness; the older, the less.

    Attributes:
        allowed: What may be spent: a fiftieth of what the plain pace would have cost.
        spent: What learned looks cost above the plain pace's; less than nothing where they saved.
        lent: What looks may cost that were tried, and of which nobody heard yet.
    """

    allowed: float = 0.0
    spent: float = 0.0
    lent: float = 0.0

    @property
    def affords(self) -> bool:
        """Whether learned looks cost no more than they may."""
        return self.spent <= self.allowed

    def proves(self, look: float) -> bool:
        """Whether learned looks have saved more than they may cost, at that price of a look."""
        return self.spent < -self.allowed - _LUCK * look

    def lend(self, look: float) -> bool:
        """Have one more job tried, if there is enough for a look more."""
        if self.spent + self.lent > self.allowed:
            return False
        self.lent += look
        return True

    def hear(self, usual: float, more: float | None, look: float) -> None:
        """Count a job: what it cost as usual, and how much more with learned looks, if known."""
        kept = 1.0 - 1.0 / _MEMORY
        self.allowed = self.allowed * kept + _SHARE * usual
        self.spent *= kept
        self.lent *= kept
        if more is not None:
            lowest = -_MOST * (self.allowed + _LUCK * look)
            self.spent = max(self.spent + more, lowest)
            self.lent = max(0.0, self.lent - look)
