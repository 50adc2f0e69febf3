"""Held: a place that a queued generation has, and what is known of that generation."""

from attrs import define

from .._scheduling.start import Start

# So long after its submit a ticket is new.
_FRESH = 1.0


@define(eq=False)
class Held:
    """
    A place that a queued generation has.

    Attributes:
        endpoint: What it was submitted to.
        since: When.
        eta: How long the server says it takes; 0 where it says nothing.
        looked: When it was last looked at because others wait.
        mark: The track_id of its request.
        calm: Whether a webhook is to tell of its end.
        hinted: Whether a webhook did so before the reply to its submit came.
    """

    endpoint: str
    since: float
    eta: float
    looked: float
    mark: str
    calm: bool
    hinted: bool

    def start(self, now: float) -> Start:
        """What the poller is told of it."""
        if self.hinted:
            return Start(calm=self.calm)
        age = now - self.since
        eta = self.eta - age if self.eta > age else None
        return Start(eta=eta, fresh=age < _FRESH, calm=self.calm)
