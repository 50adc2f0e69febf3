"""
HostHealth: whether one host answers the requests with one API key.

    state      event                                            next state
    unproven   an answer                                        proven
    unproven   one failed poll, or a rate limit                 paused
    proven     10 failed polls in a row, or a rate limit        paused
    proven     API key refused, or ConnectionImpossible         unproven
    paused     the end of the pause                             unproven

A proven host is polled freely. An unproven host gets one poll as a probe. The next poll waits for
an answer to the probe, or for a delay that grows with each probe. So a wrong API key or a dead
server costs only a few requests, even if a million tickets wait.
"""

import math

from attrs import define

from .._models.errors import TransientError

_FAILURES_BEFORE_PAUSE = 10
# A longer gap between two failed polls counts as only this many seconds of silence, because the
# machine was probably suspended.
_MAX_SILENCE_GAP_S = 120.0


@define(eq=False)
class HostHealth:
    """
    What the latest polls show about one host.

    A poll counts as answered unless it ends with a `TransientError`, a `ConnectionImpossible` or a
    refusal of the API key. The host counts as silent while each poll ends with a `TransientError`
    other than `RateLimited`, such as a server error.

    Attributes:
        paused_until: No poll starts before this time.
        is_proven: Whether the host has answered since its latest pause or refusal of the API key.
        is_answering: Whether the latest poll was answered. If true, `record_answer` would change
            nothing.
        last_error: The error of the latest failed poll; None while the host is not silent.
        silent_s: The number of seconds for which the host has been silent.
    """

    paused_until: float = -math.inf
    is_proven: bool = False
    is_answering: bool = False
    last_error: TransientError | None = None
    silent_s: float = 0.0
    _paused_at: float = -math.inf
    _failed_at: float = math.inf
    _pause_streak: int = 0
    _failure_streak: int = 0
    _was_paused: bool = False

    def record_answer(self) -> bool:
        """Record an answer of the host. Return whether it is the first answer after a pause."""
        was_paused, self._was_paused = self._was_paused, False
        self.is_proven = self.is_answering = True
        self.reset_silence()
        self._failure_streak = self._pause_streak = 0
        return was_paused

    def reset_silence(self) -> None:
        """Forget how long the host was silent, and its last error."""
        self.silent_s = 0.0
        self._failed_at = math.inf
        self.last_error = None

    def distrust(self) -> None:
        """
        Regard the host as unproven, for example because it refused the API key.

        An unproven host gets one poll as a probe before it gets more polls.
        """
        self.is_proven = self.is_answering = False

    def record_failure(self, error: TransientError, poll_started: float, now: float) -> int:
        """
        Count a failed poll.

        If the failure causes a pause, return the number of pauses in a row. Otherwise, return 0.
        """
        self.is_answering = False
        self.last_error = error
        self.silent_s += min(max(0.0, now - self._failed_at), _MAX_SILENCE_GAP_S)
        self._failed_at = now
        self._failure_streak += 1
        if self.is_proven and self._failure_streak < _FAILURES_BEFORE_PAUSE:
            return 0
        return self.record_pause(poll_started)

    def record_pause(self, poll_started: float) -> int:
        """
        Count the pause that a poll causes, and return the number of pauses in a row.

        Polls that were in flight together cause only one pause. So if the poll started before the
        latest pause began, count nothing, and return 0.
        """
        if poll_started < self._paused_at:
            return 0
        self.is_answering = False
        self._pause_streak += 1
        return self._pause_streak

    def pause(self, now: float, seconds: float) -> None:
        """Allow no poll of the host for some seconds, and regard the host as unproven."""
        self.distrust()
        self._was_paused = True
        self._paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)
