"""
Reading: status code, headers and bytes become a Reply or a typed error. Total, never surprised.

The HTTP status is believed where it speaks of the conversation (401, 429, 5xx); the body where it
speaks of the job. Whatever bytes come, nothing but an error of this package leaves here.
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
    first_text,
    is_page,
    links,
    number,
    opening,
    parse_body,
    results,
)
from .refusals import refusal_in
from .retry_after import Headers, header, retry_after
from .status import Meaning, State, read_state

_MESSAGE = ("message", "messege", "error", "errors")

_BY_CODE: Mapping[int, type[ModelsLabError]] = {
    401: AuthenticationError,
    402: PaymentRequired,
    403: PermissionDenied,
    408: ServerError,
    425: ServerError,
    429: RateLimited,
}

# Who is not let through by a firewall has not heard from the service.
_OF_THE_SERVICE = (AuthenticationError, PaymentRequired, PermissionDenied)

_JOB = r"(request|execution|run|job|task|generation|training|id)"
_NO_SUCH_TICKET = re.compile(
    rf"^(the |this |your )?{_JOB}([ _]id)?( with id)?( [\w-]+)? (was |is |does |could )?"
    r"(not (be )?(found|exist)\b|unknown\W*$)"
    rf"|^no such {_JOB}\b|^no {_JOB} (was )?found\b|^invalid {_JOB}[ _]id\b",
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
    Read what a server said to one fetch.

    Args:
        ticket: What was asked about. The body's own id is never believed.
        status_code: The HTTP status.
        headers: The HTTP headers, as a mapping or as pairs.
        body: The bytes of the body.
        families: The registry that says how the ticket's family tells its status.
        received_at: Seconds since 1970 when the reply came, for time stamps in headers where the
            reply has no `Date`.

    Raises:
        LookFault: The reply says nothing about the job.
        Refused: The server refuses the key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise _redirected(ticket, status_code, headers)
    fields = _fields(ticket, status_code, headers, body, received_at)
    family = families.get(ticket.family)
    state = read_state(fields, family.status if family else "generation")
    said = state.message or first_text(fields, *_MESSAGE)
    trouble = _trouble(status_code, fields, state, said)
    if trouble is None:
        return _reply(ticket, status_code, state, said, fields)
    raise _Troubled(status_code, headers, fields, state, received_at).error(trouble, said, ticket)


def read_answer(
    *, status_code: int, headers: Headers = (), body: bytes, received_at: float | None = None
) -> dict[str, Any]:
    """
    Read what a server said to a question that is about no job.

    Raises:
        LookFault: The reply is no answer.
        Refused: The server refuses the key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise _redirected(None, status_code, headers)
    fields = _fields(None, status_code, headers, body, received_at)
    state = read_state(fields, "generation")
    said = first_text(fields, *_MESSAGE)
    trouble = _trouble(status_code, fields, state, said)
    if trouble is UnreadableReply and status_code < 400:
        return fields
    if trouble is None and state.meaning is Meaning.FAILED:
        trouble = InvalidRequest
    if trouble is None:
        return fields
    raise _Troubled(status_code, headers, fields, state, received_at).error(trouble, said, None)


@frozen
class _Troubled:
    """A reply that is an error."""

    status_code: int
    headers: Headers
    fields: Mapping[str, Any]
    state: State
    received_at: float | None

    def error(self, kind: type[ModelsLabError], said: str, ticket: Ticket | None) -> ModelsLabError:
        status = f"the status {self.state.word!r} and no" if self.state.word else "no status and no"
        return kind(
            said or f"the server answered {self.status_code} with {status} message",
            ticket=ticket,
            status_code=self.status_code,
            server_message=" ".join(filter(None, (said, first_text(self.fields, "tips")))),
            retry_after=retry_after(self.fields, self.headers, self.received_at),
        )


def _fields(
    ticket: Ticket | None,
    status_code: int,
    headers: Headers,
    body: bytes,
    received_at: float | None,
) -> dict[str, Any]:
    try:
        return parse_body(body)
    except UnreadableBodyError as unreadable:
        known = _by_code(status_code)
        if known in _OF_THE_SERVICE and is_page(body):
            known = None
        raise (known or UnreadableReply)(
            f"the server answered {status_code} with {unreadable}",
            ticket=ticket,
            status_code=status_code,
            retry_after=retry_after({}, headers, received_at),
        ) from None


def _redirected(ticket: Ticket | None, status_code: int, headers: Headers) -> UnreadableReply:
    place = (header(headers, "location") or "nowhere").partition("?")[0]
    return UnreadableReply(
        f"the server redirects to {place!r}; redirects are not followed because the key would go "
        "along; if the service has moved, set base_url",
        ticket=ticket,
        status_code=status_code,
    )


def _by_code(status_code: int) -> type[ModelsLabError] | None:
    return ServerError if status_code >= 500 else _BY_CODE.get(status_code)


def _trouble(
    status_code: int, fields: Mapping[str, Any], state: State, said: str
) -> type[ModelsLabError] | None:
    """The error that this reply is, or None if it speaks of the job."""
    if by_code := _by_code(status_code):
        return by_code
    if state.meaning in (Meaning.RUNNING, Meaning.DONE):
        return None if status_code < 400 else UnreadableReply
    words = said or first_text(fields, "tips")
    if refusal := refusal_in(words, at_the_door=state.word in ("error", "")):
        return refusal
    silent = state.meaning is Meaning.SILENT
    if status_code < 400:
        return UnreadableReply if silent else None
    # A 404 that speaks of a route, or has no status word, is a wrong base_url and no lost job.
    unknown = status_code == 404 and not silent and not _NO_SUCH_ROUTE.search(opening(said))
    return None if unknown or _NO_SUCH_TICKET.search(opening(said)) else InvalidRequest


def _reply(
    ticket: Ticket, status_code: int, state: State, said: str, fields: dict[str, Any]
) -> Reply:
    match state.meaning:
        case Meaning.DONE:
            return _success(ticket, state, said, fields)
        case Meaning.RUNNING:
            return Processing(
                ticket=ticket,
                status=state.word,
                eta=number(fields.get("eta")),
                message=said,
                future_links=links(fields.get("future_links")),
                fetch_result=first_text(fields, "fetch_result", "status_url") or None,
                raw=fields,
            )
        case _:
            return Failed(
                ticket=ticket, message=said, reason=_reason(status_code, state, said), raw=fields
            )


def _reason(status_code: int, state: State, said: str) -> FailureReason:
    if status_code == 404 or _NO_SUCH_TICKET.search(opening(said)):
        return "not_found"
    return "cancelled" if state.meaning is Meaning.CANCELLED else "failed"


def _success(ticket: Ticket, state: State, said: str, fields: dict[str, Any]) -> Success:
    meta = fields.get("meta")
    return Success(
        ticket=ticket,
        output=results(fields),
        proxy_links=links(state.place.get("proxy_links")),
        generation_time=number(state.took),
        message=said,
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
