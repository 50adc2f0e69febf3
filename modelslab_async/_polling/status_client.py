"""StatusClient: polls one ticket once, and reads the reply. The caller decides when to poll."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from itertools import product
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from attrs import evolve

from .._models.errors import ModelsLabError
from .._models.key_kind import Tier
from .._models.replies import Processing, Reply
from .._models.ticket import NewTicket, NewTicketLike, Ticket, TicketLike
from .._parsing.reply import CachedProcessing, ReplyCache, read_reply
from .._parsing.status import is_known_status
from .._registry.family import Family
from .._registry.suggestions import did_you_mean
from .._transport.sender import Sender
from .._transport.transport_protocol import Response

T = TypeVar("T")
U = TypeVar("U")

_logger = logging.getLogger("modelslab_async")

# Limit the length and the number of unknown statuses in the log. A server may send a new status
# with each reply.
_MAX_STATUS_CHARS = 80
_MAX_LOGGED_STATUSES = 1000


class UnknownFamily(ValueError):
    """
    A ticket names a family that the client does not know.

    Attributes:
        family: The name of the family.
    """

    # `copy` and `pickle` call this class with the message alone. So `family` has a default.
    def __init__(self, message: str = "", *, family: str = "") -> None:
        super().__init__(message)
        self.family = family


class TicketStatusClient(Protocol):
    """Polls one ticket once. Also says which API key tier and which host a ticket's polls use."""

    def tier_and_host_of(self, ticket: Ticket, /) -> tuple[Tier, str]: ...
    def poll(self, ticket: Ticket, /) -> Awaitable[Reply | CachedProcessing]: ...
    def give_up_polls(self, now: float, age_s: float, /) -> None: ...


class StatusClient:
    """Polls tickets at the URLs of their families."""

    def __init__(self, families: Mapping[str, Family], sender: Sender) -> None:
        self._families = families
        self._sender = sender
        self._reader = ReplyCache(families, self._log_unknown_status)
        self._logged_statuses: set[tuple[str, str]] = set()
        self._tiers_and_hosts: dict[str, tuple[Tier, str]] = {}

    @property
    def families(self) -> Iterable[str]:
        """The names of all families that the client knows."""
        return self._families

    def family_named(self, name: str) -> Family:
        """
        Return the family with this name.

        Raises:
            UnknownFamily: The client does not know the family.
        """
        family = self._families.get(name)
        if family is None:
            hint = did_you_mean(name, self._families) or "none is like it;"
            message = (
                f"unknown family {name!r}; {hint} "
                "`modelslab-async families` lists all, and Client(families=...) takes more"
            )
            # The name may be the API key, passed by mistake. So redact the key.
            credentials = self._sender.credentials
            raise UnknownFamily(
                credentials.redact_argument(message), family=credentials.redact_text(name)
            )
        return family

    def ticket_of(self, given: TicketLike) -> Ticket:
        """
        Convert a caller's argument, such as a string, to a `Ticket`.

        Raises:
            ValueError: The ticket is ill-formed, or its id contains an API key.
        """
        ticket = given if isinstance(given, Ticket) else self._read(Ticket.of, given)
        self._sender.credentials.check_ticket(ticket)
        return ticket

    def tickets_of(self, ids: Iterable[str]) -> set[Ticket]:
        """Return every well-formed ticket that has a known family and one of these ids."""
        tickets = set[Ticket]()
        for family, ticket_id in product(self.families, ids):
            with suppress(ValueError):
                tickets.add(Ticket(family, ticket_id))
        return tickets

    def family_of(self, ticket: Ticket) -> Family:
        """
        Return a ticket's family. Check that the id fits, and that the client has the API key.

        Raises:
            UnknownFamily: The client does not know the family.
            MissingApiKey: The client has no API key for the family.
            ValueError: The id does not fit the family.
        """
        family = self.family_named(ticket.family)
        family.check(ticket)
        self._sender.credentials.key_tier(family.tier)
        return family

    def check_pollable(self, ticket: Ticket) -> None:
        """
        Check that this client can poll a ticket.

        Raises:
            ValueError: The ticket's id contains an API key, or `family_of` rejects the ticket.
        """
        self._sender.credentials.check_ticket(ticket)
        self.family_of(ticket)

    def redact_ticket(self, ticket: Ticket) -> Ticket:
        """Return a ticket that can be shown: an API key in its id becomes "[key]"."""
        return evolve(ticket, id=self._sender.credentials.redact_text(ticket.id))

    def new_ticket(self, given: NewTicketLike | NewTicket) -> NewTicket:
        """
        Return a ticket and its input columns in the form that a journal stores.

        If a column contains an API key of the client, the key is redacted.

        Raises:
            ValueError: The ticket is ill-formed, its family is unknown, its id contains an API key,
                or its columns cannot be written as JSON.
        """
        new = self._read(NewTicket.of, given)
        # Check the family now, rather than when the ticket is first polled.
        self.check_pollable(new.ticket)
        if new.columns:
            # A column may contain the API key, for example if the input lists requests.
            columns = self._sender.credentials.redact(new.columns.encode()).decode()
            return evolve(new, columns=columns)
        return new

    def tier_and_host_of(self, ticket: Ticket) -> tuple[Tier, str]:
        """
        Return the tier of the API key that polls a ticket, and the host to poll.

        Raises:
            ValueError: The ticket's family is unknown, its id does not fit the family, or the
                client has no API key for the family.
        """
        known = self._tiers_and_hosts.get(ticket.family)
        if known is not None:
            self._families[ticket.family].check(ticket)
            return known
        family = self.family_of(ticket)
        tier, host = self._sender.credentials.key_tier(family.tier), urlsplit(family.url).netloc
        self._tiers_and_hosts[ticket.family] = tier, host
        return tier, host

    def scope_of(self, ticket: Ticket) -> tuple[Tier, str]:
        """
        Return the tier of the API key that polls a ticket, and the ticket's family.

        An `AuthenticationError` or `PaymentRequired` applies to every poll with this API key. A
        `PermissionDenied` applies only to polls of this family with this API key.
        """
        return self._sender.credentials.key_tier(self.family_of(ticket).tier), ticket.family

    async def fetch(self, ticket: Ticket) -> Reply:
        """
        Poll a ticket of a known family once, and read the whole reply.

        Raises:
            TransientError: The reply says nothing about the job.
            Refused: The server refuses the API key, the plan or the request.
        """
        response = await self._response(ticket)
        reply = read_reply(
            ticket,
            status_code=response.status_code,
            headers=response.headers,
            body=response.body,
            families=self._families,
            received_at=time.time(),
        )
        if isinstance(reply, Processing):
            self._log_unknown_status(reply)
        return reply

    async def poll(self, ticket: Ticket) -> Reply | CachedProcessing:
        """
        Poll a ticket of a known family once, and read only what the poller needs from the reply.

        Raises:
            TransientError: The reply says nothing about the job.
            Refused: The server refuses the API key, the plan or the request.
        """
        response = await self._response(ticket)
        return self._reader.read(
            ticket,
            status_code=response.status_code,
            headers=response.headers,
            body=response.body,
            received_at=time.time(),
        )

    def give_up_polls(self, now: float, age_s: float) -> None:
        """Cancel polls that began at least `age_s` seconds ago, as if they had timed out."""
        self._sender.give_up_polls(now, age_s)

    async def aclose(self) -> None:
        await self._sender.aclose()

    def _read(self, read: Callable[[T], U], given: T) -> U:
        """Read a ticket. If `given` is an API key by mistake, the error does not show the key."""
        try:
            return read(given)
        except ValueError as error:
            message = self._sender.credentials.redact_argument(str(error))
        # Raise after the `except` block, so that the error's `__context__` does not show the key.
        raise ValueError(message)

    async def _response(self, ticket: Ticket) -> Response:
        try:
            return await self._sender.poll(self._families[ticket.family], ticket)
        except ModelsLabError as error:
            error.ticket = ticket
            raise

    def _log_unknown_status(self, reply: Processing) -> None:
        family, word = reply.ticket.family, reply.status
        if is_known_status(word, self._families[family].status):
            return
        status = word[:_MAX_STATUS_CHARS]
        if (family, status) in self._logged_statuses or len(
            self._logged_statuses
        ) >= _MAX_LOGGED_STATUSES:
            return
        self._logged_statuses.add((family, status))
        _logger.warning(
            "family %s answers the unknown status %r; it is taken for 'not done yet'",
            family,
            status,
        )
