"""Held: a place that a queued generation has, and what is known of that generation."""

from attrs import define

from .._scheduling.initial_state import InitialState

# So long after its submit a ticket is new.
_JUST_SUBMITTED_S = 1.0


@define(eq=False)
class SlotRecord:
    """
    A place that a queued generation has.

    Attributes:
        endpoint: What it was submitted to.
        submitted_at: When.
        eta: How long the server says it takes; 0 where it says nothing.
        polled_at: When it was last looked at because others wait.
        track_id: The track_id of its request.
        expects_webhook: Whether a webhook is to tell of its end.
        has_early_webhook: Whether a webhook did so before the reply to its submit came.
    """

    endpoint: str
    submitted_at: float
    eta: float
    polled_at: float
    track_id: str
    expects_webhook: bool
    has_early_webhook: bool

    def initial_state(self, now: float) -> InitialState:
        """What the poller is told of it."""
        if self.has_early_webhook:
            return InitialState(expects_webhook=self.expects_webhook)
        age = now - self.submitted_at
        eta = self.eta - age if self.eta > age else None
        return InitialState(
            eta=eta, just_submitted=age < _JUST_SUBMITTED_S, expects_webhook=self.expects_webhook
        )
