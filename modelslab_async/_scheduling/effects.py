"""What a poll changed, as values for the poller to act on. Nothing here decides anything."""

from attrs import frozen

from .._models.outcomes import Outcome
from .watcher_protocol import Watcher


@frozen
class Completion:
    """
    A ticket that has ended.

    Attributes:
        outcome: How the ticket ended.
        watchers: The watchers to notify.
        polls: How often the ticket was polled.
        waited: The seconds since the ticket was added.
    """

    outcome: Outcome
    watchers: tuple[Watcher, ...]
    polls: int
    waited: float


@frozen
class Effects:
    """
    What one poll changed.

    Attributes:
        completion: How the ticket ended; None if it is still open.
        paused: The seconds of the pause that the poll caused for its host or key, if any.
    """

    completion: Completion | None = None
    paused: float | None = None


NO_EFFECTS = Effects()
