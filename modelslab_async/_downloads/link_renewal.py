"""LinkRenewal: polls a ticket for new links. It never polls twice for a generation."""

import asyncio
from typing import Protocol

from .._models.download_errors import LinkGone
from .._models.errors import ModelsLabError
from .._models.replies import Reply, Success
from .._models.ticket import Ticket


class SupportsFetch(Protocol):
    """An object that can poll a ticket once, such as a `Client`."""

    async def fetch(self, ticket: Ticket, /) -> Reply:
        """Poll the ticket once."""
        ...


class LinkRenewal:
    """
    Gets new links for all outputs of a generation, with a single poll of its ticket.

    Args:
        client: Polls the ticket.
        ticket: The ticket of the generation.
    """

    def __init__(self, client: SupportsFetch, ticket: Ticket) -> None:
        self._client = client
        self._ticket = ticket
        self._lock = asyncio.Lock()
        self._result: Reply | ModelsLabError | None = None

    async def success(self) -> Success:
        """
        Return a reply with new links. The first call polls. Later calls return the same result.

        Raises:
            ModelsLabError: The poll gave no new links.
        """
        async with self._lock:
            if self._result is None:
                self._result = await self._poll()
        match self._result:
            case Success() as success:
                return success
            case ModelsLabError() as error:
                raise error
            case reply:
                raise LinkGone(f"the service says {type(reply).__name__.lower()} now")

    async def _poll(self) -> Reply | ModelsLabError:
        if not self._ticket.has_id:
            return LinkGone("the service gave no id, so it cannot be asked for new links")
        try:
            return await self._client.fetch(self._ticket)
        except ModelsLabError as fault:
            return fault
        except Exception as fault:  # noqa: BLE001 -- a failed poll fails only this ticket's download.
            # The user supplied this client, so the text of its exception may quote the API key.
            # Name only the exception's class, and do not chain the exception.
            return LinkGone(f"the poll raised {type(fault).__name__}")
