"""
Turns a response into a reply or a typed error. It raises no other error, whatever the bytes.

The HTTP status decides about the request (401, 429, 5xx), the body decides about the job.
"""

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from .._models.errors import (
    AuthenticationError,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    ServerError,
    UnreadableReply,
)
from .._models.replies import Failed, FailureReason, Processing, Reply, Success
from .._models.ticket import Ticket
from .._registry.families import FAMILIES
from .._registry.family import Family
from .json_body import (
    UnreadableBodyError,
    find_links,
    find_results,
    first_text,
    is_html,
    parse_body,
    searchable_part,
    to_number,
)
from .refusals import find_refusal
from .retry_after import Headers, header, retry_after
from .status import JobState, Meaning, read_state

_MESSAGE_FIELDS = ("message", "messege", "error", "errors")

_ERRORS_BY_STATUS: Mapping[int, type[ModelsLabError]] = {
    401: AuthenticationError,
    402: PaymentRequired,
    403: PermissionDenied,
    408: ServerError,
    425: ServerError,
    429: RateLimited,
}

# A firewall may send the HTTP status of such an error with a page of HTML. That reply says nothing
# about the account.
_ACCOUNT_ERRORS = (AuthenticationError, PaymentRequired, PermissionDenied)

_JOB_WORDS = r"(request|execution|run|job|task|generation|training|id)"
_NO_SUCH_TICKET = re.compile(
    rf"^(the |this |your )?{_JOB_WORDS}([ _]id)?( with id)?( [\w-]+)? (was |is |does |could )?"
    r"(not (be )?(found|exist)\b|unknown\W*$)"
    rf"|^no such {_JOB_WORDS}\b|^no {_JOB_WORDS} (was )?found\b|^invalid {_JOB_WORDS}[ _]id\b",
    re.IGNORECASE,
)

_NO_SUCH_ROUTE = re.compile(
    r"\b(route|url|endpoint|page|path)\b.{0,300}\bnot (be )?found\b", re.IGNORECASE
)


def read_reply(
    ticket: Ticket,
    *,
    status_code: int,
    headers: Headers = (),
    body: bytes,
    families: Mapping[str, Family] = FAMILIES,
    received_at: float | None = None,
) -> Reply:
    """
    Read the response to one poll.

    Args:
        ticket: The ticket that was polled. An id in the body is ignored.
        status_code: The HTTP status.
        headers: The HTTP headers, as a mapping or as pairs.
        body: The bytes of the body.
        families: The registry that says how to read the status of the ticket's family.
        received_at: The time of the response, in seconds since 1970. If there is no `Date` header,
            an absolute time in `Retry-After` is compared with it.

    Raises:
        TransientError: The reply says nothing about the job.
        Refused: The server refuses the key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise _redirect_error(ticket, status_code, headers)
    fields = _parse_fields(ticket, status_code, headers, body, received_at)
    family = families.get(ticket.family)
    state = read_state(fields, family.status if family else "generation")
    message = state.message or first_text(fields, *_MESSAGE_FIELDS)
    error_type = _error_type(status_code, fields, state, message)
    if error_type is None:
        return _build_reply(ticket, status_code, state, message, fields)
    raise _ErrorReply(status_code, headers, fields, state, received_at).to_error(
        error_type, message, ticket
    )


def read_utility_reply(
    *, status_code: int, headers: Headers = (), body: bytes, received_at: float | None = None
) -> dict[str, Any]:
    """
    Read the response of a utility endpoint, which is about no job.

    A JSON array, such as the list of models, is returned as the field `data` of an object.

    Raises:
        TransientError: The reply is unreadable, or the server is in trouble.
        Refused: The server refuses the key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise _redirect_error(None, status_code, headers)
    if body.lstrip().startswith(b"["):
        # The bytes are wrapped, so that the limits of size and depth hold for arrays too.
        body = b'{"data":%b}' % body
    fields = _parse_fields(None, status_code, headers, body, received_at)
    state = read_state(fields, "generation")
    message = first_text(fields, *_MESSAGE_FIELDS)
    error_type = _error_type(status_code, fields, state, message)
    if error_type is UnreadableReply and status_code < 400:
        # The reply has no status word. A utility endpoint need not send one.
        return fields
    if error_type is None and state.meaning is Meaning.FAILED:
        error_type = InvalidRequest
    if error_type is None:
        return fields
    raise _ErrorReply(status_code, headers, fields, state, received_at).to_error(
        error_type, message, None
    )


@frozen
class _ErrorReply:
    """The parts of a response from which an error is made."""

    status_code: int
    headers: Headers
    fields: Mapping[str, Any]
    state: JobState
    received_at: float | None

    def to_error(
        self, kind: type[ModelsLabError], message: str, ticket: Ticket | None
    ) -> ModelsLabError:
        status = f"the status {self.state.word!r} and no" if self.state.word else "no status and no"
        answered = f"the server answered {self.status_code}"
        if not message:
            text = f"{answered} with {status} message"
        elif issubclass(kind, ServerError):
            # The server's message, such as "Server Error", may say little, so add the status code.
            text = f"{answered}: {message}"
        else:
            text = message
        return kind(
            text,
            ticket=ticket,
            status_code=self.status_code,
            server_message=" ".join(filter(None, (message, first_text(self.fields, "tips")))),
            retry_after=retry_after(self.fields, self.headers, self.received_at),
        )


def _parse_fields(
    ticket: Ticket | None,
    status_code: int,
    headers: Headers,
    body: bytes,
    received_at: float | None,
) -> dict[str, Any]:
    try:
        return parse_body(body)
    except UnreadableBodyError as unreadable:
        known = _error_for_status(status_code)
        if known in _ACCOUNT_ERRORS and is_html(body):
            known = None
        raise (known or UnreadableReply)(
            f"the server answered {status_code} with {unreadable}",
            ticket=ticket,
            status_code=status_code,
            retry_after=retry_after({}, headers, received_at),
        ) from None


def _redirect_error(ticket: Ticket | None, status_code: int, headers: Headers) -> UnreadableReply:
    location = (header(headers, "location") or "nowhere").partition("?")[0]
    return UnreadableReply(
        f"the server redirects to {location!r}; the client follows no redirect, since that would "
        "send the key to another URL; if the service has moved, set base_url",
        ticket=ticket,
        status_code=status_code,
    )


def _error_for_status(status_code: int) -> type[ModelsLabError] | None:
    return ServerError if status_code >= 500 else _ERRORS_BY_STATUS.get(status_code)


def _error_type(
    status_code: int, fields: Mapping[str, Any], state: JobState, message: str
) -> type[ModelsLabError] | None:
    """Return the class of the error in this reply; None if the reply is about the job."""
    if status_error := _error_for_status(status_code):
        return status_error
    if state.meaning in (Meaning.RUNNING, Meaning.DONE):
        return None if status_code < 400 else UnreadableReply
    text = message or first_text(fields, "tips")
    if refusal := find_refusal(text, any_kind=state.word in ("error", "")):
        return refusal
    has_no_status = state.meaning is Meaning.NO_STATUS
    if status_code < 400:
        return UnreadableReply if has_no_status else None
    # A 404 about a route or without a status word comes from a wrong base_url, not a lost job.
    is_job_missing = (
        status_code == 404
        and not has_no_status
        and not _NO_SUCH_ROUTE.search(searchable_part(message))
    )
    return (
        None
        if is_job_missing or _NO_SUCH_TICKET.search(searchable_part(message))
        else InvalidRequest
    )


def _build_reply(
    ticket: Ticket, status_code: int, state: JobState, message: str, fields: dict[str, Any]
) -> Reply:
    match state.meaning:
        case Meaning.DONE:
            return _build_success(ticket, state, message, fields)
        case Meaning.RUNNING:
            return Processing(
                ticket=ticket,
                status=state.word,
                eta=to_number(fields.get("eta")),
                message=message,
                future_links=find_links(fields.get("future_links")),
                fetch_result=first_text(fields, "fetch_result", "status_url") or None,
                raw=fields,
            )
        case _:
            return Failed(
                ticket=ticket,
                message=message,
                reason=_failure_reason(status_code, state, message),
                raw=fields,
            )


def _failure_reason(status_code: int, state: JobState, message: str) -> FailureReason:
    if status_code == 404 or _NO_SUCH_TICKET.search(searchable_part(message)):
        return "not_found"
    return "cancelled" if state.meaning is Meaning.CANCELLED else "failed"


def _build_success(
    ticket: Ticket, state: JobState, message: str, fields: dict[str, Any]
) -> Success:
    meta = fields.get("meta")
    return Success(
        ticket=ticket,
        output=find_results(fields),
        proxy_links=find_links(state.result_body.get("proxy_links")),
        generation_time=to_number(state.generation_time),
        message=message,
        nsfw=_nsfw(fields),
        meta=meta if isinstance(meta, dict) else {},
        raw=fields,
    )


def _nsfw(fields: Mapping[str, Any]) -> bool | None:
    for name in ("nsfw_content_detected", "has_nsfw_concept"):
        match fields.get(name):
            case bool(flag):
                return flag
            case [*flags] if flags:
                return any(flag is True for flag in flags)
    return None
