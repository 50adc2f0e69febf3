"""SubmitRetries: decides whether and when a submit is sent again."""

import asyncio
import logging
import math
from collections.abc import Callable
from copy import copy

from attrs import define

from .._models.errors import ModelsLabError, RateLimited, TransportError
from .._scheduling.pace_protocol import RetryLimits
from .submit_exchange import is_retryable
from .uploader import original_error

_logger = logging.getLogger("modelslab_async")

# An attempt may take at least this many seconds to connect, even if `unsent_timeout` ends sooner.
_LAST_ATTEMPT_S = 1.0
_ADVICE = "check the network, the base URL and the proxy"


@define(eq=False)
class SubmitRetries:
    """
    Counts the failed attempts of one submit, and decides when the next attempt follows.

    `unsent_timeout` limits the seconds spent on requests that could not be sent and on the pauses
    after them. It counts neither waits for a slot nor uploads that the service answered.

    Args:
        limits: How many attempts may fail, and the pauses between them.
        unsent_timeout: How many seconds to retry a submit that cannot be sent.
        endpoint: The name of the endpoint, for messages.
        jitter: Returns a random number between 0 and 1.
    """

    limits: RetryLimits
    unsent_timeout: float
    endpoint: str
    jitter: Callable[[], float]
    _failures: int = 0
    _unsent_failures: int = 0
    _unsent_s: float = 0.0
    _unsent_since: float | None = None

    def begin_request(self, deadline: float) -> float | None:
        """
        Record that a request begins: an upload or the submit itself.

        Return its connect timeout in seconds; None for no limit.
        """
        now = asyncio.get_running_loop().time()
        if self._unsent_since is None:
            self._unsent_since = now
        limit = max(self._seconds_left, _LAST_ATTEMPT_S)
        seconds = min(limit, max(deadline - now, 0.0))
        return None if seconds == math.inf else seconds

    def record_answer(self) -> None:
        """Record that the service answered a request. `unsent_timeout` starts from zero again."""
        self._unsent_s, self._unsent_since, self._unsent_failures = 0.0, None, 0

    def begin_slot_wait(self) -> None:
        """Do not count time towards `unsent_timeout` until the next request begins."""
        self._unsent_s, self._unsent_since = self._unsent_seconds, None

    def pause_after(self, error: ModelsLabError) -> float:
        """
        Return the seconds to wait before the next attempt.

        Raises:
            ModelsLabError: The submit must not be sent again. This is the error of the latest
                attempt.
        """
        self._failures += 1
        is_unsent = _is_unsent(error)
        if self._failures >= self.limits.max_failures or not is_retryable(error):
            raise self._unsent_error(error) if is_unsent else error
        if is_unsent:
            return self._pause_unsent(error)
        self.record_answer()
        if isinstance(error, RateLimited):
            _logger.info(
                "%s is sent again when the server allows it: %s; nothing was paid",
                self.endpoint,
                error.message.rstrip("."),
            )
            return 0.0
        return max(self.limits.backoff(self._failures, self.jitter()), error.retry_after or 0.0)

    def _pause_unsent(self, error: ModelsLabError) -> float:
        """Warn that the request was not sent. Return the seconds until the next attempt."""
        self._unsent_failures += 1
        left = self._seconds_left
        if left <= _LAST_ATTEMPT_S:
            raise self._unsent_error(error)
        pause = self.limits.backoff(self._unsent_failures, self.jitter())
        pause = min(pause, left - _LAST_ATTEMPT_S)
        cause = original_error(error)
        _logger.warning(
            "%s cannot be sent: %s; nothing was paid; the next try is in %.1f s, %s; %s",
            self.endpoint,
            cause.message.rstrip("."),
            pause,
            f"the last one within {left:.0f} s" if left < math.inf else "and others follow",
            cause.advice or _ADVICE,
        )
        return pause

    @property
    def _seconds_left(self) -> float:
        """How many seconds of `unsent_timeout` are left."""
        return self.unsent_timeout - self._unsent_seconds

    @property
    def _unsent_seconds(self) -> float:
        """How many seconds of `unsent_timeout` have been used."""
        if self._unsent_since is None:
            return self._unsent_s
        return self._unsent_s + asyncio.get_running_loop().time() - self._unsent_since

    def _unsent_error(self, error: ModelsLabError) -> ModelsLabError:
        """Copy an error. The copy has advice, and its message says that nothing was paid."""
        unsent = copy(error)
        tries = "one try" if self._failures == 1 else f"{self._failures} tries"
        unsent.message = (
            f"{self.endpoint} could not be sent in {tries}: {error.message.rstrip('.')}; nothing "
            "was paid"
        )
        unsent.args = (unsent.message,)
        unsent.advice = error.advice or _ADVICE
        unsent.__cause__ = error.__cause__
        return unsent


def _is_unsent(error: ModelsLabError) -> bool:
    """Whether the failed request, a submit or an upload, provably never left this machine."""
    cause = original_error(error)
    return isinstance(cause, TransportError) and not cause.may_have_been_sent
