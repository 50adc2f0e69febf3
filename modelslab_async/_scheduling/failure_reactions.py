"""
Reacts to a failed poll: pauses the host or the API key, and retries or ends tickets.

A host is proven if it has answered since its latest pause (see `host_health`).

    RateLimited                             the API key pauses at all hosts; the ticket is retried
    any other TransientError                the ticket backs off; after `max_failures` it ends
      10 such errors in a row               the host pauses, if it is proven
      one such error                        the host pauses, if it is unproven
      only such errors for `outage` s       all tickets of the host end
    AuthenticationError, PaymentRequired    all tickets of the API key end
    PermissionDenied                        all tickets of the family end
    ConnectionImpossible                    all tickets of the host end
    any other ModelsLabError                the ticket ends

A rate limit does not count towards `max_failures`.
"""

from attrs import frozen

from .._models.errors import (
    AuthenticationError,
    ConnectionImpossible,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    TransientError,
)
from .host_queue import Entry, PollFailures
from .hosts import Hosts


@frozen
class FailureReaction:
    """
    What happens next to a ticket whose poll failed.

    Attributes:
        retry_at: The time at which to poll the ticket again; None if the ticket ends.
        paused: The seconds for which the failure pauses the host or the API key; None for no pause.
    """

    retry_at: float | None = None
    paused: float | None = None


_END = FailureReaction()


def react_to_failure(
    hosts: Hosts, entry: Entry, error: ModelsLabError, now: float, jitter: float
) -> FailureReaction:
    """After a failed poll, pause hosts or end tickets. Return what happens to the polled ticket."""
    match error:
        case RateLimited():
            return _react_to_rate_limit(hosts, entry, error, now, jitter)
        case TransientError():
            return _react_to_transient_error(hosts, entry, error, now, jitter)
        case _:
            _react_to_refusal(hosts, entry, error, now)
            return _END


def _react_to_rate_limit(
    hosts: Hosts, entry: Entry, error: RateLimited, now: float, jitter: float
) -> FailureReaction:
    health, limits = entry.host_queue.health, hosts.limits
    health.reset_silence()
    pauses = health.record_pause(entry.poll_started)
    retry_after = error.retry_after
    if not pauses and (retry_after is None or now + retry_after <= health.paused_until):
        return FailureReaction(retry_at=now)
    seconds = (
        limits.backoff(pauses, jitter) if retry_after is None else max(retry_after, limits.floor)
    )
    hosts.pause_tier(entry.host_queue.tier, now, seconds)
    return FailureReaction(retry_at=now, paused=seconds)


def _react_to_transient_error(
    hosts: Hosts, entry: Entry, error: TransientError, now: float, jitter: float
) -> FailureReaction:
    health, limits = entry.host_queue.health, hosts.limits
    entry.poll_failures = PollFailures(entry.failures + 1, error)
    paused = None
    if pauses := health.record_failure(error, entry.poll_started, now):
        paused = limits.backoff(pauses, jitter)
        health.pause(now, paused)
    if health.silent_s >= limits.outage:
        hosts.refuse_open([entry.host_queue], error)
        return _END
    if entry.failures < limits.max_failures:
        backoff = limits.backoff(entry.failures, jitter)
        return FailureReaction(now + max(backoff, error.retry_after or 0.0), paused)
    return FailureReaction(paused=paused)


def _react_to_refusal(hosts: Hosts, entry: Entry, error: ModelsLabError, now: float) -> None:
    host_queue = entry.host_queue
    host_queue.health.reset_silence()
    match error:
        case AuthenticationError() | PaymentRequired():
            host_queues = hosts.with_tier(host_queue.tier)
            for each in host_queues:
                each.health.distrust()
            hosts.refuse_open(host_queues, error)
        case ConnectionImpossible():
            host_queue.health.distrust()
            hosts.refuse_open([host_queue], error)
        case PermissionDenied():
            host_queue.record_answer(now)
            hosts.refuse_open([host_queue], error, entry.ticket.family)
        case _:
            host_queue.record_answer(now)
