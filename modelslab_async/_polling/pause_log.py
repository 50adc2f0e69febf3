"""PauseLog: logs when the client pauses the polls of a host, and limits repeated warnings."""

import asyncio
import logging

from attrs import Factory, define

from .._models.errors import ModelsLabError, RateLimited
from .._scheduling.host_queue import HostQueue
from .._scheduling.pace_protocol import RetryLimits

_logger = logging.getLogger("modelslab_async")

# The minimum time between two warnings about the same host and the same cause.
_WARNING_INTERVAL_S = 600.0
# `_outlook` adds up pauses to estimate how long a wait goes on. It adds up at most this many,
# because more would take too long.
_MAX_PAUSES_ADDED = 1000


@define(eq=False)
class PauseLog:
    """
    Logs when the client pauses the polls of a host.

    The first pause of a host is logged as a warning, and so is a pause with a new cause. Further
    pauses with the same cause are logged as DEBUG, apart from one warning every ten minutes.

    Args:
        limits: How many polls may fail, and for how long, before a wait ends.
    """

    limits: RetryLimits
    _warned: dict[HostQueue, tuple[type[ModelsLabError], float]] = Factory(dict)

    def record_pause(self, host_queue: HostQueue, seconds: float, cause: ModelsLabError) -> None:
        """Log for how many seconds the client pauses the polls of a host, and why."""
        now, kind = asyncio.get_running_loop().time(), type(cause)
        last_kind, warned_at = self._warned.get(host_queue, (None, 0.0))
        is_warning = last_kind is not kind or now - warned_at >= _WARNING_INTERVAL_S
        if is_warning:
            self._warned[host_queue] = (kind, now)
        _logger.log(
            logging.WARNING if is_warning else logging.DEBUG,
            "polling %s pauses for %.1f s: %s; %s",
            host_queue.host,
            seconds,
            str(cause).rstrip("."),
            self._outlook(cause),
        )

    def record_answer(self, host_queue: HostQueue) -> None:
        """Log that a host answers again after a pause."""
        if self._warned.pop(host_queue, None) is not None:
            _logger.info("polling %s goes on: it answers again", host_queue.host)

    def _outlook(self, cause: ModelsLabError) -> str:
        """Describe how long callers still wait if all further polls of the host fail."""
        if isinstance(cause, RateLimited):
            return "the waits go on after it, because a rate limit ends none"
        give_up_s = 0.0
        for failures in range(1, min(self.limits.max_failures, _MAX_PAUSES_ADDED)):
            give_up_s += self.limits.backoff(failures, 0.5)
        return (
            f"a wait goes on for about {_duration(min(give_up_s, self.limits.outage))} (until "
            f"{self.limits.max_failures} of its polls failed in a row), many waits together for "
            f"{_duration(self.limits.outage)}"
        )


def _duration(seconds: float) -> str:
    for unit_s, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
