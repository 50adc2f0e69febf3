"""Start: what is known of a ticket when it is first scheduled."""

from attrs import frozen


@frozen
class Start:
    """
    What is known of a ticket when the poller first hears of it.

    Attributes:
        eta: Seconds until the server expects its end, if it said so.
        fresh: Whether it was submitted just now, so that a look at once is for nothing.
        calm: Whether a webhook is to tell of its end, so that looks may be rarer.
    """

    eta: float | None = None
    fresh: bool = False
    calm: bool = False
