"""
Decides when a ticket is polled again after the host has answered.

    Processing                     one step of the pace after the poll started
    "not found" for a new ticket   the same, because the server may not know the ticket yet
    anything else                  never, because the reply is the outcome

A step is the time from one poll of a ticket to the next. The pace sets its length.
"""

import math
from functools import lru_cache

from attrs import define

from .._models.replies import Failed, Processing, Reply, Success
from .._parsing.reply import CachedProcessing
from .host_queue import Entry, WebhookState
from .pace import Pace
from .pace_protocol import PacePolicy, RetryLimits

# The factor by which steps are longer while a webhook is expected to report the ticket's end.
_WEBHOOK_STEP_FACTOR = 4.0
_SHARED_MOMENT_S = 0.001


@define(eq=False)
class SharedFloats:
    """Returns the same float object for nearly equal times, to save 24 bytes for each ticket."""

    _last_moment: float = -math.inf

    def moment(self, moment: float) -> float:
        """Return the previous result if it is less than 1 ms before `moment`, else `moment`."""
        if not 0.0 <= moment - self._last_moment < _SHARED_MOMENT_S:
            self._last_moment = moment
        return self._last_moment

    def sum(self, moment: float, seconds: float) -> float:
        """Return `moment + seconds`. Equal arguments usually give the same float object."""
        return _cached_sum(moment, seconds)


@lru_cache(maxsize=256)
def _cached_sum(moment: float, seconds: float) -> float:
    return moment + seconds


def react_to_reply(
    policy: PacePolicy,
    entry: Entry,
    reply: Reply | CachedProcessing,
    jitter: float,
    floats: SharedFloats,
) -> float | Success | Failed:
    """Record a reply for an open ticket. Return the time of the next poll, or the outcome."""
    age = entry.poll_started - entry.added
    match reply:
        case CachedProcessing() | Processing():
            _record_running(entry, reply, floats)
            step = policy.for_family(entry.ticket.family).step(age, jitter, eta=entry.eta)
            if entry.webhook is not None:
                step = _webhook_step(policy.limits, entry.webhook, step)
            return entry.poll_started + step
        case Failed(reason="not_found") if age < policy.limits.grace:
            return entry.poll_started + policy.limits.step(age, jitter)
        case _:
            return reply


def learn_end(
    policy: PacePolicy, entry: Entry, outcome: Success | Failed | None
) -> Exception | None:
    """
    Tell the pace how long a job ran.

    If the pace raises an exception, return it, because the outcome of the job stays valid.

    Args:
        policy: The pace.
        entry: The entry of the job's ticket.
        outcome: The reply that showed the job's end; None if no poll saw the end.
    """
    if type(policy) is Pace or (isinstance(outcome, Failed) and outcome.reason == "not_found"):
        # There is nothing to learn: a plain `Pace` ignores what it is told, and a ticket that the
        # server does not know has no job.
        return None
    first_done = None if outcome is None else entry.poll_started - entry.added
    try:
        family_pace = policy.for_family(entry.ticket.family)
        family_pace.learn(entry.last_running - entry.added, first_done, entry.eta)
    except Exception as error:  # noqa: BLE001 -- a caller's pace may raise anything.
        return error
    return None


def _record_running(
    entry: Entry, reply: CachedProcessing | Processing, floats: SharedFloats
) -> None:
    entry.last_running = floats.moment(entry.poll_started)
    if entry.last is None and entry.expected_done is None and reply.eta:
        entry.expected_done = floats.sum(entry.last_running, reply.eta)
    entry.last = reply


def _webhook_step(limits: RetryLimits, webhook: WebhookState, step: float) -> float:
    if webhook.expects_webhook:
        step = min(_WEBHOOK_STEP_FACTOR * step, limits.ceiling)
    if webhook.nudged_in_flight:
        # A webhook or `Client.nudge` asked for another poll while this poll was in flight. The
        # server may have sent this reply before the job ended, so poll again soon.
        step, webhook.nudged_in_flight = min(step, limits.floor), False
    return step
