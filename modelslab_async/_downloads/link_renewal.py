"""Renewal: one new look at a ticket whose links have expired, for all of its outputs together."""

import asyncio
from typing import Protocol

from .._models.errors import LinkGone, ModelsLabError
from .._models.replies import Reply, Success
from .._models.ticket import Ticket


class Fetches(Protocol):
    """What can look at a ticket once: a `Client`."""

    async def fetch(self, ticket: Ticket, /) -> Reply:
        """Look once."""
        ...


class Renewal:
    """
    Looks once, and tells everybody who asks what it saw.

    Args:
        client: What looks.
        ticket: The ticket.
    """

    def __init__(self, client: Fetches, ticket: Ticket) -> None:
        self._client = client
        self._ticket = ticket
        self._looking = asyncio.Lock()
        self._seen: Reply | ModelsLabError | None = None

    async def success(self) -> Success:
        """
        The reply with the links of now.

        Raises:
            ModelsLabError: There is none.
        """
        async with self._looking:
            if self._seen is None:
                self._seen = await self._look()
        if isinstance(self._seen, Success):
            return self._seen
        if isinstance(self._seen, ModelsLabError):
            raise self._seen
        raise LinkGone(f"the service says {type(self._seen).__name__.lower()} now")

    async def _look(self) -> Reply | ModelsLabError:
        if not self._ticket.has_id:
            return LinkGone("the service gave no id, so it cannot be asked for new links")
        try:
            return await self._client.fetch(self._ticket)
        except ModelsLabError as fault:
            return fault
