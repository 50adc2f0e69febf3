"""Renewal: one new look at a ticket whose links have expired, for all of its outputs together."""

import asyncio
from typing import Protocol

from .._models.download_errors import LinkGone
from .._models.errors import ModelsLabError
from .._models.replies import Reply, Success
from .._models.ticket import Ticket


class SupportsFetch(Protocol):
    """What can look at a ticket once: a `Client`."""

    async def fetch(self, ticket: Ticket, /) -> Reply:
        """Look once."""
        ...


class LinkRenewal:
    """
    Looks once, and tells everybody who asks what it saw.

    Args:
        client: What looks.
        ticket: The ticket.
    """

    def __init__(self, client: SupportsFetch, ticket: Ticket) -> None:
        self._client = client
        self._ticket = ticket
        self._lock = asyncio.Lock()
        self._result: Reply | ModelsLabError | None = None

    async def success(self) -> Success:
        """
        The reply with the links of now.

        Raises:
            ModelsLabError: There is none.
        """
        async with self._lock:
            if self._result is None:
                self._result = await self._poll()
        if isinstance(self._result, Success):
            return self._result
        if isinstance(self._result, ModelsLabError):
            raise self._result
        raise LinkGone(f"the service says {type(self._result).__name__.lower()} now")

    async def _poll(self) -> Reply | ModelsLabError:
        if not self._ticket.has_id:
            return LinkGone("the service gave no id, so it cannot be asked for new links")
        try:
            return await self._client.fetch(self._ticket)
        except ModelsLabError as fault:
            return fault
