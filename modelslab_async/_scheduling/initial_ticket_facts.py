"""InitialTicketFacts: what is known about a ticket before its first poll."""

from attrs import frozen


@frozen
class InitialTicketFacts:
    """
    What is known about a ticket when the client begins to wait for it.

    Attributes:
        eta: The seconds until the server expects the job to be done; None if there is no eta.
        just_submitted: Whether the ticket was submitted just now, so that an immediate poll is
            useless.
        expects_webhook: Whether a webhook will report the ticket's end, so that polls can be rarer.
    """

    eta: float | None = None
    just_submitted: bool = False
    expects_webhook: bool = False


NO_FACTS = InitialTicketFacts()
