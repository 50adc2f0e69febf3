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
_HOLE = b"\0"
_STAND_IN = b"1"
_OK = 200
# A shorter id stands in many a body by chance; one of other signs may be written in another way.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{4,}").fullmatch
_LONGEST_SHAPE = 4096
_MOST_SHAPES = 1024


@define(eq=False, weakref_slot=False)
class Pending:
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
    _shape: bytes = field(repr=False)
    # Whether this status and this eta are told whatever the id is; None until that was tried.
    _holds: bool | None = None

    def of(self, ticket: Ticket) -> Processing:
        """The reply in full, as this ticket was told it."""
        return self._read(ticket, ticket.id.encode()) or Processing(
            ticket=ticket, status=self.status, eta=self.eta
        )

    def holds_for(self, ticket: Ticket, rule: StatusRule) -> bool:
        """Whether this is what the shape says to this ticket too."""
        if self._holds is None:
            twin = self._read(ticket, _STAND_IN)
            said = twin and (twin.status, twin.eta)
            self._holds = (self.status, self.eta) == said
        return self._holds and rule == self._rule

    def _read(self, ticket: Ticket, id_: bytes) -> Processing | None:
        body = self._shape.replace(_HOLE, id_)
        try:
            reply = read_reply(ticket, status_code=_OK, body=body, families=self._families)
        except ModelsLabError:
            return None
        return reply if isinstance(reply, Processing) else None


@define(eq=False)
class Reader:
    """
    Reads what looks brought, and knows by heart the shapes it met last.

    Whoever is `told` hears of each "not over" that had to be read in full.
    """

    _families: Mapping[str, Family]
    _told: Callable[[Processing], object] = lambda _: None
    _known: dict[bytes, Pending] = Factory(dict)

    def read(
        self,
        ticket: Ticket,
        *,
        status_code: int,
        headers: Headers,
        body: bytes,
        received_at: float | None,
    ) -> Reply | Pending:
        """
        Read what a server said to one look, no further than need be.

        Raises:
            LookFault: The reply says nothing about the job.
            Refused: The server refuses the key, the plan or the request.
        """
        rule = self._families[ticket.family].status
        shape = _shape_of(body, ticket.id) if status_code == _OK else None
        if shape is not None:
            known = self._known.get(shape)
            if known is not None and known.holds_for(ticket, rule):
                return known
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
        self._told(reply)
        if shape is None:
            return reply
        return self._learn(shape, Pending(reply.status, reply.eta, self._families, rule, shape))

    def _learn(self, shape: bytes, pending: Pending) -> Pending:
        if shape not in self._known:
            if len(self._known) >= _MOST_SHAPES:
                del self._known[next(iter(self._known))]
            self._known[shape] = pending
        return pending


def _shape_of(body: bytes, id_: str) -> bytes | None:
    """The body without the id; None where it is none that the id could be put back into."""
    if len(body) > _LONGEST_SHAPE or _HOLE in body or not _PLAIN_ID(id_):
        return None
    return body.replace(id_.encode(), _HOLE)


def in_full(reply: Processing | Pending, ticket: Ticket) -> Processing:
    """What a user sees of a reply."""
    return reply.of(ticket) if isinstance(reply, Pending) else reply
