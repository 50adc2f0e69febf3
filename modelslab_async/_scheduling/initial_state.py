"""Start: what is known of a ticket when it is first scheduled."""

from attrs import frozen


@frozen
class InitialState:
    """
    What is known of a ticket when the poller first hears of it.

    Attributes:
        eta: Seconds until the server expects its end, if it said so.
        just_submitted: Whether it was submitted just now, so that a look at once is for nothing.
        expects_webhook: Whether a webhook is to tell of its end, so that looks may be rarer.
    """

    eta: float | None = None
    just_submitted: bool = False
    expects_webhook: bool = False
