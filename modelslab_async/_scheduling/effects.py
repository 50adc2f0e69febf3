"""What a poll changed, as values for the poller to act on. Nothing here decides anything."""

from attrs import frozen

from .._models.outcomes import Outcome
from .watcher_protocol import Watcher


@frozen
class Completion:
    """
    A ticket that has ended.

    Attributes:
        outcome: How it ended.
        watchers: The watchers to notify.
        polls: How often it was polled.
        waited: The seconds since it was added.
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
        completion: The ticket's end, if it ended.
        paused: For how many seconds the host or the key is paused, if the poll caused a pause.
    """

    completion: Completion | None = None
    paused: float | None = None


NO_EFFECTS = Effects()
