"""SlotRecord: the facts about a ticket that holds a slot."""

from attrs import define

from .._scheduling.initial_ticket_facts import InitialTicketFacts

# A ticket younger than this many seconds counts as just submitted, so it is not polled at once.
_JUST_SUBMITTED_S = 1.0


@define(eq=False)
class SlotRecord:
    """
    The facts about a ticket that holds a slot. Times are on the clock of the event loop.

    Attributes:
        endpoint: The name of the endpoint that made the ticket.
        submitted_at: The time at which the reply to the submit came.
        polled_at: The time of the latest poll that checked whether the slot is free. Before the
            first such poll, it is `submitted_at`.
        eta: The seconds that the server expects the work to take; 0 if it gave no eta.
        track_id: The track_id of the request; "" if there is none.
        expects_webhook: Whether a webhook will report the end of the work.
        was_named_by_webhook: Whether a webhook has named the ticket, before or after the reply to
            the submit. If true, the ticket is polled at once when a caller begins to wait for it.
    """

    endpoint: str
    submitted_at: float
    polled_at: float
    eta: float = 0.0
    track_id: str = ""
    expects_webhook: bool = False
    was_named_by_webhook: bool = False

    def initial_facts(self, now: float) -> InitialTicketFacts:
        """Return what the poller should know before the first poll of the ticket."""
        if self.was_named_by_webhook:
            return InitialTicketFacts(expects_webhook=self.expects_webhook)
        age = now - self.submitted_at
        eta = self.eta - age if self.eta > age else None
        return InitialTicketFacts(
            eta=eta, just_submitted=age < _JUST_SUBMITTED_S, expects_webhook=self.expects_webhook
        )
