"""What the poller tells an `on_event` hook: plain values, enough for metrics, without a key."""

from typing import TypeAlias

from attrs import frozen

from .._models.tier import Tier
from .errors import ModelsLabError, TransientError
from .outcomes import Outcome
from .replies import Processing, Reply, Success
from .ticket import Ticket


@frozen(kw_only=True)
class Polled:
    """
    One look was answered.

    Attributes:
        ticket: What was asked about.
        reply: What the server said.
        took: Seconds from sending to reading.
        late: Seconds that the look began after it was due.
    """

    ticket: Ticket
    reply: Reply
    elapsed: float
    overdue: float


@frozen(kw_only=True)
class PollFailed:
    """
    One look went wrong; the ticket will be looked at again unless its budget is spent.

    Attributes:
        ticket: What was asked about.
        error: What went wrong.
        failures: How many looks at this ticket have now gone wrong in a row.
    """

    ticket: Ticket
    error: TransientError
    failures: int


@frozen(kw_only=True)
class Paused:
    """
    No ticket of one key is looked at for a while.

    Attributes:
        tier: Which key: `standard` or `enterprise`.
        seconds: For how long.
        cause: Why: the server's rate limit, or an outage.
    """

    tier: Tier
    seconds: float
    cause: ModelsLabError


@frozen(kw_only=True)
class Completed:
    """
    A ticket's wait ended.

    Attributes:
        outcome: How.
        looks: How many looks it took.
        waited: Seconds since the ticket was added.
    """

    outcome: Outcome
    polls: int
    waited: float


@frozen(kw_only=True)
class Submitted:
    """
    Work was started, told to `on_submitted` before anybody else hears of it.

    Attributes:
        ticket: What to wait for.
        endpoint: What was submitted to.
        track_id: The mark that the request carried: the caller's own, or one that was made for it;
            "" where none was given and the endpoint takes none.
        payload_hash: The SHA-256 of the endpoint and its parameters, without the mark.
        reply: What the server said.
    """

    ticket: Ticket
    endpoint: str
    track_id: str
    payload_hash: str
    reply: Processing | Success


Event: TypeAlias = Polled | PollFailed | Paused | Completed
