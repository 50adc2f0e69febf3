"""Values that tell the poller what a poll has changed."""

import math
from typing import NamedTuple

from .._models.replies import Failed
from .._models.unresolved_outcomes import Outcome, Unresolved
from .watcher_protocol import Watcher


class Completion(NamedTuple):
    """
    A ticket that has ended.

    Attributes:
        outcome: How the ticket ended.
        watchers: The watchers to notify.
        polls: The number of polls of the ticket.
        waited: The seconds since the ticket was added.
        was_running: Whether a poll of the ticket saw its job running.
    """

    outcome: Outcome
    watchers: tuple[Watcher, ...]
    polls: int
    waited: float
    was_running: bool

    @property
    def observed(self) -> float:
        """
        The seconds for which polls watched for the end of the job.

        They are infinite if a poll saw the job running, because then it cannot have ended before
        the client began to poll. They are minus infinity if no poll saw the end of the job.
        """
        match self.outcome:
            case Unresolved() | Failed(reason="not_found"):
                return -math.inf
            case _:
                return math.inf if self.was_running else self.waited


class Effects(NamedTuple):
    """
    What one poll changed.

    Attributes:
        completion: How the ticket ended; None if the poll did not end it.
        paused: The seconds for which the poll's result pauses the host or the API key; None for no
            pause.
        pace_error: The exception that the pace raised when it learned how long the job ran; None
            for no exception.
    """

    completion: Completion | None = None
    paused: float | None = None
    pace_error: Exception | None = None


NO_EFFECTS = Effects()
