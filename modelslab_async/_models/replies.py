"""The server's reply to one request: Processing, Success or Failed."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from .html_repr import html_of, success_html
from .short_repr import short_repr
from .ticket import Ticket

Body: TypeAlias = Mapping[str, Any]


@frozen(kw_only=True)
class Processing:
    """
    The job is queued or in progress.

    Attributes:
        ticket: The ticket of the job.
        status: The `status` in the server's reply in lower case, such as `processing` or `queued`.
        eta: Seconds until the server expects the job to end; None if it gave no estimate.
        message: The server's text, if any.
        future_links: The links at which the files will appear, according to the server.
        fetch_result: The URL that the server gave for later polls, if any. The client ignores it.
        raw: The whole body as received.
    """

    ticket: Ticket
    status: str = "processing"
    eta: float | None = None
    message: str = field(default="", repr=short_repr)
    future_links: tuple[str, ...] = field(default=(), repr=short_repr)
    fetch_result: str | None = field(default=None, repr=short_repr)
    raw: Body = field(factory=dict, repr=False, hash=False)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        eta = "" if self.eta is None else f"about {self.eta:.0f} s to go"
        return html_of(self.ticket, self.status, eta, self.message)


@frozen(kw_only=True)
class Success:
    """
    The job is done.

    Attributes:
        ticket: The ticket of the job.
        output: The results, always a tuple of strings: links, base64 data or a transcript. They
            come from the field `output` of the body, or else from a field such as `links`.
        proxy_links: Mirrors of the results, if the server gave any.
        generation_time: Seconds that the work took, according to the server.
        message: The server's text, if any.
        nsfw: Whether the server flagged the result as not safe for work. The output is then a
            replacement. None if the server did not say.
        meta: The parameters as the server understood them.
        raw: The whole body as received.
    """

    ticket: Ticket
    output: tuple[str, ...] = field(default=(), repr=short_repr)
    proxy_links: tuple[str, ...] = field(default=(), repr=short_repr)
    generation_time: float | None = None
    message: str = field(default="", repr=short_repr)
    nsfw: bool | None = None
    meta: Body = field(factory=dict, repr=False, hash=False)
    raw: Body = field(factory=dict, repr=False, hash=False)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows, without pictures that the service flagged."""
        return success_html(self.ticket, self.output, self.message, is_nsfw=self.nsfw is True)


FailureReason: TypeAlias = Literal["failed", "cancelled", "not_found"]


@frozen(kw_only=True)
class Failed:
    """
    The job is over and has no result. The server's reply is final.

    Attributes:
        ticket: The ticket of the job.
        message: The server's explanation; may be empty.
        reason: `failed`, `cancelled`, or `not_found` if the server knows no such id.
        raw: The whole body as received.
    """

    ticket: Ticket
    message: str = field(default="", repr=short_repr)
    reason: FailureReason = "failed"
    raw: Body = field(factory=dict, repr=False, hash=False)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        return html_of(self.ticket, self.reason, self.message)


Reply: TypeAlias = Processing | Success | Failed
