"""The events that an `on_event` hook receives: plain values for metrics. They hold no key."""

from typing import TypeAlias

from attrs import frozen

from .errors import ModelsLabError, TransientError
from .key_tier import Tier
from .outcomes import Outcome
from .replies import Processing, Reply, Success
from .ticket import Ticket


@frozen(kw_only=True)
class Polled:
    """
    A poll brought a reply.

    Attributes:
        ticket: The ticket that was polled.
        reply: The server's reply.
        elapsed: Seconds from sending the request to reading the reply.
        overdue: Seconds between the due time of the poll and its start.
    """

    ticket: Ticket
    reply: Reply
    elapsed: float
    overdue: float


@frozen(kw_only=True)
class PollFailed:
    """
    A poll failed. The ticket is polled again, unless it has failed too often in a row.

    Attributes:
        ticket: The ticket that was polled.
        error: The error of this poll.
        failures: Failed polls of this ticket in a row, this one included.
    """

    ticket: Ticket
    error: TransientError
    failures: int


@frozen(kw_only=True)
class Paused:
    """
    Polling with one key pauses for a while.

    Attributes:
        tier: The tier of the key: `standard` or `enterprise`.
        seconds: The length of the pause.
        cause: The error that caused the pause, such as a rate limit or the last of many failures.
    """

    tier: Tier
    seconds: float
    cause: ModelsLabError


@frozen(kw_only=True)
class Completed:
    """
    The wait for a ticket ended.

    Attributes:
        outcome: How the wait ended.
        polls: The number of polls of the ticket.
        waited: Seconds since the ticket was added.
    """

    outcome: Outcome
    polls: int
    waited: float


@frozen(kw_only=True)
class Submitted:
    """
    A submit started work. `on_submitted` receives this before the submit returns.

    Attributes:
        ticket: The ticket to wait for.
        endpoint: The endpoint of the submit.
        track_id: The `track_id` in the request, which the caller gave or the client made. It is ""
            if the caller gave none and the endpoint takes none.
        payload_hash: The SHA-256 of the endpoint and the parameters, without track_id and webhook.
        reply: The server's reply.
    """

    ticket: Ticket
    endpoint: str
    track_id: str
    payload_hash: str
    reply: Processing | Success


Event: TypeAlias = Polled | PollFailed | Paused | Completed
