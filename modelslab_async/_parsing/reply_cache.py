"""
A cache of "still processing" replies, so that equal ones are not parsed again. Sends nothing.

Most polls bring such a reply, and it differs from earlier ones only in the ticket's id. The cache
stores the body with the id cut out, as a template. A body of a known template needs no parsing, and
a million open tickets share a few templates instead of holding a parsed body each.
"""

import re
from collections.abc import Callable, Mapping

from attrs import Factory, define, field

from .._models.errors import ModelsLabError
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._registry.family import Family, StatusRule
from .reply import read_reply
from .retry_after import Headers

# A NUL byte is not valid in JSON, so it can stand for the id.
_ID_PLACEHOLDER = b"\0"
_PROBE_ID = b"1"
_HTTP_OK = 200
# Only an id of this form is cut out of a body. A shorter id may equal other text in the body, and
# other characters may be escaped in JSON.
_is_plain_id = re.compile(r"[A-Za-z0-9_-]{4,}").fullmatch
_MAX_TEMPLATE_BYTES = 4096
_MAX_TEMPLATES = 1024


@define(eq=False, weakref_slot=False)
class CachedProcessing:
    """
    A "still processing" reply, shared by all tickets whose bodies differ only in the id.

    Attributes:
        status: The server's status word, in lower case.
        eta: Seconds until the server expects the job to end; None if it gave no eta.
    """

    status: str
    eta: float | None
    _families: Mapping[str, Family] = field(repr=False)
    _rule: StatusRule
    _template: bytes = field(repr=False)
    # Whether status and eta stay the same with another id in the body; None if not checked yet.
    _is_id_independent: bool | None = None

    def to_processing(self, ticket: Ticket) -> Processing:
        """Parse the full reply of a ticket with this template."""
        return self._read(ticket, ticket.id.encode()) or Processing(
            ticket=ticket, status=self.status, eta=self.eta
        )

    def matches(self, ticket: Ticket, rule: StatusRule) -> bool:
        """Whether the template with this ticket's id parses to the same status and eta."""
        if self._is_id_independent is None:
            probe = self._read(ticket, _PROBE_ID)
            probed = probe and (probe.status, probe.eta)
            self._is_id_independent = (self.status, self.eta) == probed
        return self._is_id_independent and rule == self._rule

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
    Reads the responses to polls, and caches the newest templates.

    Args:
        families: The families, with the base URLs in use.
        on_processing: Called with each "still processing" reply that had to be parsed.
    """

    _families: Mapping[str, Family]
    _on_processing: Callable[[Processing], object] = lambda _: None
    _replies: dict[bytes, CachedProcessing] = Factory(dict)

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
        Read the response to one poll, and parse it only if its template is new.

        Raises:
            TransientError: The reply says nothing about the job.
            Refused: The server refuses the key, the plan or the request.
        """
        rule = self._families[ticket.family].status
        template = _make_template(body, ticket.id) if status_code == _HTTP_OK else None
        if template is not None:
            cached = self._replies.get(template)
            if cached is not None and cached.matches(ticket, rule):
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
        if template is None:
            return reply
        return self._store(
            template, CachedProcessing(reply.status, reply.eta, self._families, rule, template)
        )

    def _store(self, template: bytes, reply: CachedProcessing) -> CachedProcessing:
        if template not in self._replies:
            if len(self._replies) >= _MAX_TEMPLATES:
                del self._replies[next(iter(self._replies))]
            self._replies[template] = reply
        return reply


def _make_template(body: bytes, id_: str) -> bytes | None:
    """Return the body with the id cut out; None if the id could not be put back safely."""
    if len(body) > _MAX_TEMPLATE_BYTES or _ID_PLACEHOLDER in body or not _is_plain_id(id_):
        return None
    return body.replace(id_.encode(), _ID_PLACEHOLDER)


def as_processing(reply: Processing | CachedProcessing, ticket: Ticket) -> Processing:
    """Return the reply in the form that users see."""
    return reply.to_processing(ticket) if isinstance(reply, CachedProcessing) else reply
