"""Sends calls and polls, each with a deadline, and redacts responses and errors. Never retries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from attrs import evolve

from .._models.errors import ModelsLabError, TransportError
from .._models.ticket import Ticket
from .._registry.family import Call, Family
from .credentials import Credentials
from .deadlines import Deadlines
from .error_redaction import redacted_error
from .exchange_timer import ExchangeObserver, ExchangeTimer
from .http11.transport import HTTP11Transport
from .httpx_adapter import HttpxClientAdapter, HttpxTransportAdapter
from .httpx_library import HTTPArgument, library_of
from .request_builder import RequestBuilder
from .send_proof import is_unsent
from .tls_errors import permanent_tls_error
from .transport_protocol import BODY_TOO_LONG, MAX_BODY_BYTES, Request, Response, Transport

# Bound once, because each poll asks.
_has_level = logging.getLogger("modelslab_async").isEnabledFor

_FIRST_ERROR_STATUS = 300


class Sender:
    """
    Sends calls and polls through one transport, and redacts the API keys in responses and errors.

    Args:
        transport: The transport that sends requests and returns responses.
        credentials: The API keys.
        timeout: The seconds after which an exchange is cancelled, unless a call has its own.

    Attributes:
        on_exchange: Called with the record of each request; None for no observer.
    """

    def __init__(self, transport: Transport, credentials: Credentials, *, timeout: float) -> None:
        self._transport = transport
        self.credentials = credentials
        self._request_builder = RequestBuilder(credentials)
        self._timeout = timeout
        self._deadlines: dict[float, Deadlines] = {}
        self.on_exchange: ExchangeObserver | None = None

    async def send(
        self, call: Call, *, timeout: float | None = None, connect_timeout: float | None = None
    ) -> Response:
        """
        Send a call once.

        Args:
            call: The call to send.
            timeout: The deadline in seconds; None for the deadline of the sender.
            connect_timeout: The maximum number of seconds to get a connection; None for the
                transport's limit.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: No later attempt can succeed.
        """
        request = self._request_builder.build(call)
        if connect_timeout is not None:
            request = evolve(request, connect_timeout=connect_timeout)
        is_timed = self.on_exchange is not None or _has_level(logging.DEBUG)
        exchange = self._timed_exchange if is_timed else self._exchange
        return await exchange(request, self._deadlines_for(timeout))

    async def poll(self, family: Family, ticket: Ticket) -> Response:
        """
        Poll a ticket once.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: No later attempt can succeed.
            ValueError: The ticket's id does not fit the family.
        """
        request = self._request_builder.poll(family, ticket)
        is_timed = self.on_exchange is not None or _has_level(logging.DEBUG)
        exchange = self._timed_exchange if is_timed else self._exchange
        return await exchange(request, self._deadlines_for(None))

    async def _timed_exchange(self, request: Request, deadlines: Deadlines) -> Response:
        timer = ExchangeTimer(
            request.method,
            request.url,
            credentials=self.credentials,
            observer=self.on_exchange,
        )
        with timer:
            response = await self._exchange(request, deadlines)
            timer.status_code = response.status_code
        return response

    async def _exchange(self, request: Request, deadlines: Deadlines) -> Response:
        try:
            response = await deadlines.wait_for(self._transport.exchange(request))
            if len(response.body) <= MAX_BODY_BYTES:
                return self._redacted(response)
            error: BaseException = TransportError(BODY_TOO_LONG)
        except asyncio.CancelledError as cancelled:
            error = asyncio.CancelledError(*self._redacted_message(cancelled))
        except TimeoutError as late:
            error = _timeout_error(deadlines.seconds, late)
        except OSError as fault:
            error = _os_error(fault)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as fault:  # noqa: BLE001 -- any error may quote the key.
            error = fault
        # Raise it outside of the handlers. Inside, its context would be the original error, which
        # may quote the key. For the same reason no local variable keeps the original error.
        error = redacted_error(error, self.credentials)
        raise error

    async def aclose(self) -> None:
        """Stop the deadlines, and close the transport if it has an `aclose` method."""
        for deadlines in self._deadlines.values():
            deadlines.close()
        close: Callable[[], Awaitable[None]] | None = getattr(self._transport, "aclose", None)
        if close is not None:
            await close()

    def _deadlines_for(self, timeout: float | None) -> Deadlines:
        seconds = self._timeout if timeout is None else timeout
        if seconds not in self._deadlines:
            self._deadlines[seconds] = Deadlines(seconds)
        return self._deadlines[seconds]

    def _redacted(self, response: Response) -> Response:
        body, headers = self.credentials.redact(response.body), response.headers
        if response.status_code >= _FIRST_ERROR_STATUS:
            # Only error and redirect responses get redacted headers, because no other headers are
            # quoted.
            headers = [(name, self._redacted_header(value)) for name, value in headers]
        elif body is response.body:
            return response
        return evolve(response, headers=headers, body=body)

    def _redacted_message(self, cancelled: asyncio.CancelledError) -> list[object]:
        redact = self.credentials.redact_text
        return [redact(each) if isinstance(each, str) else each for each in _message_of(cancelled)]

    def _redacted_header(self, value: bytes) -> bytes:
        return self.credentials.redact_text(value.decode("latin-1")).encode("latin-1")


def _timeout_error(seconds: float, late: TimeoutError) -> TransportError:
    if is_unsent(late):
        return TransportError(
            f"no connection was available within {seconds:g} s", may_have_been_sent=False
        )
    return TransportError(f"no complete response came within {seconds:g} s")


def _os_error(fault: OSError) -> ModelsLabError:
    tls_error = permanent_tls_error(fault, in_handshake=False, may_have_been_sent=True)
    return tls_error or TransportError(f"{type(fault).__name__}: {fault.strerror or fault}")


def _message_of(cancelled: BaseException | None) -> tuple[object, ...]:
    """
    Return the arguments of a cancellation, or else those of an earlier cancellation in its context.

    The arguments must be kept, because anyio recognizes its own cancellations by their arguments.
    """
    while isinstance(cancelled, asyncio.CancelledError):
        if cancelled.args:
            return cancelled.args
        cancelled = cancelled.__context__
    return ()


def as_transport(given: HTTPArgument | None, connections: int) -> Transport:
    """
    Return a transport for the `http` argument of a client.

    Args:
        given: The argument that the caller passed; None for the default transport.
        connections: The maximum number of connections to one host that the default transport opens.

    Raises:
        TypeError: The argument is not a client or transport of httpx or httpx2, nor a `Transport`.
    """
    if given is None:
        return HTTP11Transport(connections=connections)
    if (library := library_of(given)) is not None:
        is_client = library.is_client(given)
        return (HttpxClientAdapter if is_client else HttpxTransportAdapter)(given, library)
    if callable(getattr(given, "exchange", None)):
        return cast(Transport, given)
    raise TypeError(
        "http is an HTTPTransport, an AsyncClient or AsyncBaseTransport of httpx or httpx2, or an "
        f"object with 'async def exchange(request)', got {type(given).__name__}"
    )
