"""What the server said to one call: Processing, Success or Failed. Values only; never parses."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from .ticket import Ticket

Body: TypeAlias = Mapping[str, Any]


@frozen(kw_only=True)
class Processing:
    """
    The job is not over.

    Attributes:
        ticket: What was asked for.
        status: The server's word, in lower case: `processing`, `queued`, a training stage, ...
        eta: Seconds the server expects the job to take still, if it said so. A hint, no promise.
        message: The server's text, if any.
        future_links: Where the files are announced to appear. They are no results yet.
        fetch_result: The URL that the server names for later fetches, if any. It is not followed.
        raw: The whole body as it came.
    """

    ticket: Ticket
    status: str = "processing"
    eta: float | None = None
    message: str = ""
    future_links: tuple[str, ...] = ()
    fetch_result: str | None = None
    raw: Body = field(factory=dict, repr=False, hash=False)


@frozen(kw_only=True)
class Success:
    """
    The job is done.

    Attributes:
        ticket: What was asked for.
        output: The results: links, base64 texts or a transcript, always a tuple of strings. Where
            the server named its results elsewhere (`links`, only `proxy_links`), they are here too.
        proxy_links: Mirrors of the results, where the server gave some.
        generation_time: Seconds of work, as the server counted them.
        message: The server's text, if any.
        nsfw: Whether the server flagged the result (and so replaced it), if it said.
        meta: The parameters as the server understood them.
        raw: The whole body as it came.
    """

    ticket: Ticket
    output: tuple[str, ...] = ()
    proxy_links: tuple[str, ...] = ()
    generation_time: float | None = None
    message: str = ""
    nsfw: bool | None = None
    meta: Body = field(factory=dict, repr=False, hash=False)
    raw: Body = field(factory=dict, repr=False, hash=False)


FailureReason: TypeAlias = Literal["failed", "cancelled", "not_found"]


@frozen(kw_only=True)
class Failed:
    """
    The job is over and has no result. This is the server's word.

    Attributes:
        ticket: What was asked for.
        message: Why, in the server's words; may be empty.
        reason: `failed`, `cancelled`, or `not_found` where the server knows no such id.
        raw: The whole body as it came.
    """

    ticket: Ticket
    message: str = ""
    reason: FailureReason = "failed"
    raw: Body = field(factory=dict, repr=False, hash=False)


Reply: TypeAlias = Processing | Success | Failed
