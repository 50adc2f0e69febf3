"""
Turns a response into a reply, or raises a typed error. The bytes cannot cause any other error.

The HTTP status says whether the server accepted the request. The body reports the state of the job.

Most "still processing" replies differ from earlier replies only in the ticket's id. `ReplyCache`
cuts the id out of a body, and stores the rest as a template. A later body with the same template
is not parsed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, define, field

from .._models.errors import ModelsLabError
from .._models.replies import Failed, FailureReason, Processing, Reply, Success
from .._models.ticket import Ticket
from .._registry.families import FAMILIES
from .._registry.family import Family, StatusRule
from .json_body import (
    UnreadableBodyError,
    find_links,
    find_results,
    first_text,
    parse_body,
    to_number,
)
from .reply_errors import (
    ErrorReply,
    error_type_of,
    names_no_job,
    redirect_error,
    unreadable_error,
)
from .retry_after import Headers
from .status import JobState, Meaning, read_state

MESSAGE_FIELDS = ("message", "messege", "error", "errors")

# In a cached body, this byte replaces the id. Valid JSON contains no NUL byte.
_ID_PLACEHOLDER = b"\0"
_PROBE_ID = b"1"
_HTTP_OK = 200
# A body is cached only if the ticket's id has this form. A shorter id may also occur elsewhere in
# the body, and JSON may escape characters that are not allowed here.
_is_plain_id = re.compile(r"[A-Za-z0-9_-]{4,}").fullmatch
_MAX_TEMPLATE_BYTES = 4096
_MAX_TEMPLATES = 1024


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
        ticket: The ticket that was polled. The reply gets this ticket, whatever id is in the body.
        status_code: The HTTP status.
        headers: The HTTP headers, as a mapping or as pairs.
        body: The bytes of the body.
        families: The registry, which says how replies of the ticket's family report the status.
        received_at: The time of the response, in seconds since 1970. A date in `Retry-After` is
            compared with this time if the response has no `Date` header.

    Raises:
        TransientError: The reply says nothing about the job.
        Refused: The server refuses the API key, the plan or the request.
    """
    if 300 <= status_code < 400:
        raise redirect_error(ticket, status_code, headers)
    fields = parse_fields(ticket, status_code, headers, body, received_at)
    family = families.get(ticket.family)
    state = read_state(fields, family.status if family else "generation")
    message = state.message or first_text(fields, *MESSAGE_FIELDS)
    error_type = find_error_type(status_code, fields, state, message)
    if error_type is None:
        return _build_reply(ticket, status_code, state, message, fields)
    raise ErrorReply(status_code, headers, fields, state, received_at).to_error(
        error_type, message, ticket
    )


def parse_fields(
    ticket: Ticket | None,
    status_code: int,
    headers: Headers,
    body: bytes,
    received_at: float | None,
) -> dict[str, Any]:
    """
    Parse the body of a response.

    Raises:
        ModelsLabError: The body is not a JSON object.
    """
    try:
        return parse_body(body)
    except UnreadableBodyError as unreadable:
        raise unreadable_error(
            unreadable, status_code, headers, body, ticket=ticket, received_at=received_at
        ) from None


def find_error_type(
    status_code: int, fields: Mapping[str, Any], state: JobState, message: str
) -> type[ModelsLabError] | None:
    """Return the error class for a reply, or None if the reply reports the state of the job."""
    if status_code < 400 and state.meaning in (Meaning.RUNNING, Meaning.DONE):
        return None
    return error_type_of(status_code, fields, state, message)


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
    if status_code == 404 or names_no_job(message):
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
        if name in fields:
            match fields[name]:
                case bool(flag):
                    return flag
                case [*flags] if flags:
                    return any(flag is True for flag in flags)
    return None


@define(eq=False, weakref_slot=False)
class CachedProcessing:
    """
    A "still processing" reply, shared by all tickets whose replies differ only in the id.

    Attributes:
        status: The status in the server's reply, in lower case.
        eta: The seconds until the server expects the job to end. None if the server gave no eta.
    """

    status: str
    eta: float | None
    _families: Mapping[str, Family] = field(repr=False)
    _rule: StatusRule
    _template: bytes = field(repr=False)
    # Whether status and eta stay the same when the id changes; None until this is checked.
    _is_id_independent: bool | None = None

    def to_processing(self, ticket: Ticket) -> Processing:
        """Put the ticket's id into the cached body, and parse this body as a reply."""
        return self._read(ticket, ticket.id.encode()) or Processing(
            ticket=ticket, status=self.status, eta=self.eta
        )

    def matches(self, ticket: Ticket) -> bool:
        """
        Whether the cached status and eta also hold for another ticket's reply.

        Call this only if the id is the only difference between the two replies.
        """
        if self._is_id_independent is None:
            probe = self._read(ticket, _PROBE_ID)
            probed = probe and (probe.status, probe.eta)
            self._is_id_independent = (self.status, self.eta) == probed
        return self._is_id_independent and self._rule == self._families[ticket.family].status

    def _read(self, ticket: Ticket, id_: bytes) -> Processing | None:
        body = self._template.replace(_ID_PLACEHOLDER, id_)
        try:
            reply = read_reply(ticket, status_code=_HTTP_OK, body=body, families=self._families)
        except ModelsLabError:
            return None
        return reply if isinstance(reply, Processing) else None


@define(eq=False)
class ReplyCache:
    """
    Reads responses to polls, and caches the newest "still processing" bodies with the ids removed.

    Args:
        families: The families, keyed by name. Their URLs begin with the client's base URLs.
        on_processing: Called with each "still processing" reply that is not in the cache.
    """

    _families: Mapping[str, Family]
    _on_processing: Callable[[Processing], object] = lambda _: None
    _replies: dict[bytes, CachedProcessing] = Factory(dict)
    # The lengths of all bodies that were cached. Bodies of other lengths skip the cache look-up.
    _lengths: set[int] = Factory(set)

    def read(
        self,
        ticket: Ticket,
        *,
        status_code: int,
        headers: Headers,
        body: bytes,
        received_at: float | None,
    ) -> Reply | CachedProcessing:
        """
        Read the response to one poll. Skip parsing if only the id differs from a cached response.

        Raises the same errors as `read_reply`.
        """
        if len(body) in self._lengths and status_code == _HTTP_OK:
            template = _make_template(body, ticket.id)
            cached = self._replies.get(template) if template else None
            if cached is not None and cached.matches(ticket):
                return cached
        reply = read_reply(
            ticket,
            status_code=status_code,
            headers=headers,
            body=body,
            families=self._families,
            received_at=received_at,
        )
        if not isinstance(reply, Processing):
            return reply
        self._on_processing(reply)
        template = _make_template(body, ticket.id) if status_code == _HTTP_OK else None
        return self._store(template, len(body), reply) if template else reply

    def _store(self, template: bytes, length: int, reply: Processing) -> CachedProcessing:
        self._lengths.add(length)
        cached = self._replies.get(template)
        if cached is not None and cached.matches(reply.ticket):
            return cached
        rule = self._families[reply.ticket.family].status
        stored = CachedProcessing(reply.status, reply.eta, self._families, rule, template)
        if cached is None:
            if len(self._replies) >= _MAX_TEMPLATES:
                del self._replies[next(iter(self._replies))]
            self._replies[template] = stored
        return stored


def _make_template(body: bytes, id_: str) -> bytes | None:
    """Replace the id in a body with a placeholder. Return None for an unsuitable body or id."""
    # Most ids are numbers, for which no regular expression is needed.
    is_plain = (id_.isdecimal() and id_.isascii() and len(id_) >= 4) or _is_plain_id(id_)
    if len(body) > _MAX_TEMPLATE_BYTES or _ID_PLACEHOLDER in body or not is_plain:
        return None
    return body.replace(id_.encode(), _ID_PLACEHOLDER)


def as_processing(reply: Processing | CachedProcessing, ticket: Ticket) -> Processing:
    """Convert a reply from the cache to a `Processing`. Return a `Processing` unchanged."""
    return reply.to_processing(ticket) if isinstance(reply, CachedProcessing) else reply
