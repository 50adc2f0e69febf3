"""The events that an `on_event` hook receives: plain values for metrics, without API keys."""

from typing import Literal, TypeAlias

from attrs import frozen

from .download_events import Downloaded, DownloadFailed, DownloadResumed, DownloadStarted
from .errors import ModelsLabError, SubmitUncertain, TransientError
from .key_kind import Tier
from .replies import Processing, Reply, Success
from .ticket import Ticket
from .unresolved_outcomes import Outcome

SlotWaitReason: TypeAlias = Literal["slots_used", "rate_limit", "key_unconfirmed", "same_payload"]


@frozen(kw_only=True)
class Polled:
    """
    A poll brought a reply.

    Attributes:
        ticket: The ticket that was polled.
        reply: The server's reply.
        elapsed: Seconds from the start of the poll to reading the reply.
        overdue: Seconds between the due time of the poll and its start.
        started_at: When the poll started, on the event loop's clock. If the poll had to wait for a
            connection, this is the time before that wait.
    """

    ticket: Ticket
    reply: Reply
    elapsed: float
    overdue: float
    started_at: float


@frozen(kw_only=True)
class PollFailed:
    """
    A poll failed. The client polls the ticket again, unless the limits of its `Pace` are reached.

    Attributes:
        ticket: The ticket that was polled.
        error: The error of this poll.
        failures: The number of consecutive polls of this ticket that failed, including this one.
            Polls that hit a rate limit do not count.
    """

    ticket: Ticket
    error: TransientError
    failures: int


@frozen(kw_only=True)
class Paused:
    """
    The client pauses all polls that use one API key, at one host or at all hosts.

    Attributes:
        tier: The tier of the API key: `standard` or `enterprise`.
        seconds: The length of the pause in seconds.
        cause: The error that caused the pause, such as a rate limit or the latest of many failures.
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
        waited: Seconds since the wait began.
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
        track_id: The `track_id` in the request, from the caller or the client; "" if the request
            has none.
        payload_hash: The SHA-256 of the endpoint and the parameters, without track_id and webhook.
        reply: The server's reply.
    """

    ticket: Ticket
    endpoint: str
    track_id: str
    payload_hash: str
    reply: Processing | Success


@frozen(kw_only=True)
class SlotAwaited:
    """
    A submit begins to wait for a slot, before its first attempt or before a retry.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        tier: The tier of the API key whose slots are used: `standard` or `enterprise`.
        used: The number of slots in use.
        limit: The number of slots; None for no limit. With a shared account, this is the number
            that the shared account has granted to this client.
        reason: Why the submit must wait: `slots_used`, `rate_limit`, `key_unconfirmed` (another
            submit must first show that the API key is valid) or `same_payload` (the service's spam
            filter refused this payload).
    """

    endpoint: str
    track_id: str
    tier: Tier
    used: int
    limit: int | None
    reason: SlotWaitReason


@frozen(kw_only=True)
class Uploaded:
    """
    A file among the parameters of a submit was uploaded.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        parameter: The parameter that takes the link to the file.
        size: The size of the file in bytes.
        elapsed: Seconds that the upload took.
    """

    endpoint: str
    track_id: str
    parameter: str
    size: int
    elapsed: float


@frozen(kw_only=True)
class SubmitSent:
    """
    A submit is about to be sent. If it is not sent after all, a `SubmitFailed` follows.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        attempt: The number of the attempt, counted from 1. Attempts whose upload failed count too.
        waited: Seconds since the submit began, except for the time spent on reading its files.
    """

    endpoint: str
    track_id: str
    attempt: int
    waited: float


@frozen(kw_only=True)
class SubmitFailed:
    """
    A submit failed: the server refused it, the request was never sent, or the work failed at once.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        error: The error of this attempt, such as a `RateLimited`.
        attempt: The number of the attempt, counted from 1.
    """

    endpoint: str
    track_id: str
    error: ModelsLabError
    attempt: int


@frozen(kw_only=True)
class SubmitRetried:
    """
    A submit that started no work is tried again.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        error: The error of the previous attempt.
        attempt: The number of the next attempt.
        delay: The seconds until the submit begins to wait for a slot again. It is 0 after a
            `RateLimited`, because the client gives out no slot before the rate limit has ended.
    """

    endpoint: str
    track_id: str
    error: ModelsLabError
    attempt: int
    delay: float


@frozen(kw_only=True)
class SubmitUnconfirmed:
    """
    A submit was sent and got no clear answer. It may have started work, and is not sent again.

    Attributes:
        endpoint: The endpoint of the submit.
        track_id: The `track_id` of the request; "" if it has none.
        error: The error. Its message says how to find out whether work was started.
    """

    endpoint: str
    track_id: str
    error: SubmitUncertain


Event: TypeAlias = (
    Polled
    | PollFailed
    | Paused
    | Completed
    | SlotAwaited
    | Uploaded
    | SubmitSent
    | Submitted
    | SubmitFailed
    | SubmitRetried
    | SubmitUnconfirmed
    | DownloadStarted
    | DownloadResumed
    | Downloaded
    | DownloadFailed
)
