"""Sender: sends requests with the key, each within one deadline, and masks what comes."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from attrs import evolve

from .._models.errors import TransportError
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._registry.family import Call, Family
from .base import HTTP, LONGEST_BODY, TOO_LONG, Request, Response
from .credentials import Keys
from .deadlines import Deadlines
from .http11.transport import OwnHTTP
from .httpx_adapter import ClientHTTP, TransportHTTP
from .redaction import quieted
from .request_builder import Requests
from .tls_errors import final_fault
from .unsent import is_held_back

_ERRORS = 300


class Sender:
    """Sends calls and looks. Holds the keys, so its repr is the plain one of an object."""

    def __init__(self, http: HTTP, keys: Keys, *, timeout: float) -> None:
        self._http = http
        self._keys = keys
        self._requests = Requests(keys)
        self._timeout = timeout
        self._deadlines: dict[float, Deadlines] = {}

    def key_of(self, tier: Tier) -> Tier:
        """
        Which key a tier's requests carry.

        Raises:
            ValueError: There is none.
        """
        self._keys.of(tier)
        return self._keys.which(tier)

    async def send(self, call: Call, *, timeout: float | None = None) -> Response:
        """
        Send one call, once.

        Args:
            call: What to send.
            timeout: The most seconds it may take; None for the sender's own deadline.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: There will be none.
        """
        return await self._exchange(self._requests.of(call), self._deadlines_of(timeout))

    async def look(self, family: Family, ticket: Ticket) -> Response:
        """
        Ask about a ticket, once.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: There will be none.
            ValueError: The ticket's id does not fit the family.
        """
        request = self._requests.look(family, ticket)
        return await self._exchange(request, self._deadlines_of(None))

    async def _exchange(self, request: Request, deadlines: Deadlines) -> Response:
        try:
            response = await deadlines.within(self._http.exchange(request))
            if len(response.body) <= LONGEST_BODY:
                return self._masked(response)
            error: BaseException = TransportError(TOO_LONG)
        except asyncio.CancelledError as cancelled:
            error = asyncio.CancelledError(*_said_by(cancelled))
        except TimeoutError as late:
            error = _timed_out(deadlines.seconds, late)
        except OSError as fault:
            error = final_fault(fault, shaking=False, may_have_left=True) or TransportError(
                f"{type(fault).__name__}: {fault.strerror or fault}"
            )
        except Exception as fault:  # noqa: BLE001 -- whatever it is, it may quote the key.
            error = fault
        # Raised out here, most of them made anew: what came through the network's frames holds the
        # key there.
        raise quieted(error, self._keys)

    async def aclose(self) -> None:
        """Close what this sender sends through, unless it stays the caller's."""
        for deadlines in self._deadlines.values():
            deadlines.close()
        close: Callable[[], Awaitable[None]] | None = getattr(self._http, "aclose", None)
        if close is not None:
            await close()

    def _deadlines_of(self, timeout: float | None) -> Deadlines:
        seconds = self._timeout if timeout is None else timeout
        if seconds not in self._deadlines:
            self._deadlines[seconds] = Deadlines(seconds)
        return self._deadlines[seconds]

    def _masked(self, response: Response) -> Response:
        body, headers = self._keys.masked(response.body), response.headers
        if response.status_code >= _ERRORS:
            # Only of these are headers read and quoted.
            headers = [(name, self._masked_header(value)) for name, value in headers]
        elif body is response.body:
            return response
        return evolve(response, headers=headers, body=body)

    def _masked_header(self, value: bytes) -> bytes:
        return self._keys.masked_text(value.decode("latin-1")).encode("latin-1")


def _timed_out(seconds: float, late: TimeoutError) -> TransportError:
    if is_held_back(late):
        return TransportError(
            f"no connection was to be had within {seconds:g} s", may_have_left=False
        )
    return TransportError(f"no whole answer came within {seconds:g} s")


def _said_by(cancelled: BaseException | None) -> tuple[object, ...]:
    """What a cancellation says, be it in the one that it took the place of: anyio looks there."""
    while isinstance(cancelled, asyncio.CancelledError):
        if cancelled.args:
            return cancelled.args
        cancelled = cancelled.__context__
    return ()


def as_http(given: "HTTP | httpx.AsyncBaseTransport | httpx.AsyncClient | None", size: int) -> HTTP:
    """
    Make whatever a caller hands in the seam's one method.

    Raises:
        TypeError: It is none of the three things it may be.
    """
    match given:
        case None:
            return OwnHTTP(connections=size)
        case httpx.AsyncClient():
            return ClientHTTP(given)
        case httpx.AsyncBaseTransport():
            return TransportHTTP(given)
        case _ if callable(getattr(given, "exchange", None)):
            return given
        case _:
            raise TypeError(
                "http is an httpx.AsyncClient, an httpx.AsyncBaseTransport or an object with "
                f"'async def exchange(request)', got {type(given).__name__}"
            )
