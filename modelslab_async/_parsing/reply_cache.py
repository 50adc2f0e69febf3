"""
Pending: a reply that says "not over", read in full only for those who want to see it.

Most looks bring one, in the words of the one before but for the id. So a `Reader` learns the shapes
of such bodies: what they are without the ticket's own id. A body of a known shape is not parsed
again, and a million tickets that wait hold a few shapes between them, not a parsed body each.
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

# No JSON holds this byte, so it may stand where the id stood.
_ID_PLACEHOLDER = b"\0"
_PROBE_ID = b"1"
_HTTP_OK = 200
# A shorter id stands in many a body by chance; one of other signs may be written in another way.
_is_plain_id = re.compile(r"[A-Za-z0-9_-]{4,}").fullmatch
_MAX_TEMPLATE_BYTES = 4096
_MAX_TEMPLATES = 1024


@define(eq=False, weakref_slot=False)
class CachedProcessing:
    """
    A "not over", for every ticket that was told it in the same words.

    Attributes:
        status: The server's word, in lower case.
        eta: Seconds the server expects the job to take still, if it said so.
    """

    status: str
    eta: float | None
    _families: Mapping[str, Family] = field(repr=False)
    _rule: StatusRule
    _template: bytes = field(repr=False)
    # Whether this status and this eta are told whatever the id is; None until that was tried.
    _is_id_independent: bool | None = None

    def to_processing(self, ticket: Ticket) -> Processing:
        """The reply in full, as this ticket was told it."""
        return self._read(ticket, ticket.id.encode()) or Processing(
            ticket=ticket, status=self.status, eta=self.eta
        )

    def matches(self, ticket: Ticket, rule: StatusRule) -> bool:
        """Whether this is what the shape says to this ticket too."""
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
    Reads what looks brought, and knows by heart the shapes it met last.

    Whoever is `told` hears of each "not over" that had to be read in full.
    """

    _families: Mapping[str, Family]
    _on_processing: Callable[[Processing], object] = lambda _: None
    _cached: dict[bytes, CachedProcessing] = Factory(dict)

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
        Read what a server said to one look, no further than need be.

        Raises:
            TransientError: The reply says nothing about the job.
            Refused: The server refuses the key, the plan or the request.
        """
        rule = self._families[ticket.family].status
        template = _make_template(body, ticket.id) if status_code == _HTTP_OK else None
        if template is not None:
            cached = self._cached.get(template)
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

    def _store(self, template: bytes, pending: CachedProcessing) -> CachedProcessing:
        if template not in self._cached:
            if len(self._cached) >= _MAX_TEMPLATES:
                del self._cached[next(iter(self._cached))]
            self._cached[template] = pending
        return pending


def _make_template(body: bytes, id_: str) -> bytes | None:
    """The body without the id; None where it is none that the id could be put back into."""
    if len(body) > _MAX_TEMPLATE_BYTES or _ID_PLACEHOLDER in body or not _is_plain_id(id_):
        return None
    return body.replace(id_.encode(), _ID_PLACEHOLDER)


def as_processing(reply: Processing | CachedProcessing, ticket: Ticket) -> Processing:
    """What a user sees of a reply."""
    return reply.to_processing(ticket) if isinstance(reply, CachedProcessing) else reply
