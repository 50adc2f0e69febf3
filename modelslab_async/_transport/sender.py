"""Sender: adds the API key to each request, sends it with a deadline, and redacts the response."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from attrs import evolve, frozen

from .._models.errors import ModelsLabError, TransportError
from .._models.ticket import Ticket
from .._models.version import __version__
from .._registry.family import Call, Family
from .credentials import Credentials
from .deadlines import DeadlinePassed, Deadlines
from .error_redaction import redacted_error
from .exchange_timer import ExchangeObserver, ExchangeTimer
from .permanent_tls_errors import permanent_tls_error
from .send_proof import is_unsent
from .transport_protocol import BODY_TOO_LONG, MAX_BODY_BYTES, Request, Response, Transport

# The method `isEnabledFor` of the logger, looked up only once because each poll calls it.
_has_level = logging.getLogger("modelslab_async").isEnabledFor

_FIRST_ERROR_STATUS = 300
# The headers of all requests. `identity` asks for uncompressed bodies, because a small compressed
# body can decompress to any size.
_HEADERS: tuple[tuple[str, str], ...] = (
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", f"modelslab-async/{__version__}"),
)
# The placeholder for a ticket's id in the template of a request. It is random, so that it occurs
# nowhere else in the request.
_ID_PLACEHOLDER: Final = secrets.token_hex(16)
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


@frozen(repr=False)
class _RequestTemplate:
    """A poll request without the ticket's id. It holds the key, so its repr shows no attribute."""

    method: str
    url: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]

    @classmethod
    def from_request(cls, request: Request) -> "_RequestTemplate":
        """Make a template from a request that has `_ID_PLACEHOLDER` in place of the id."""
        return cls(
            request.method,
            tuple(request.url.split(_ID_PLACEHOLDER)),
            request.headers,
            tuple(request.body.split(_ID_PLACEHOLDER.encode())),
        )

    def fill(self, id_: str) -> Request:
        """Put an id that needs no quoting into the template, and return the request."""
        return Request(
            method=self.method,
            url=id_.join(self.url),
            headers=self.headers,
            body=id_.encode().join(self.body),
        )


class RequestBuilder:
    """
    Builds the requests for calls and polls. It holds the keys, so its repr shows no attribute.

    Args:
        credentials: The keys to add.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._templates: dict[str, _RequestTemplate] = {}

    def build(self, call: Call) -> Request:
        """
        Return the HTTP request for a `Call`. `call.key_in` says where the API key goes.

        Raises:
            MissingApiKey: There is no key for the call's tier.
        """
        key = self._credentials.key_for(call.tier)
        url, headers, fields = call.url, _HEADERS, call.fields
        match call.key_in:
            case "body":
                fields = {**fields, "key": key}
            case "header":
                headers = (*headers, ("key", key))
            case "query":
                url = f"{url}{'&' if '?' in url else '?'}key={quote(key, safe='')}"
        # A submit always has a body, even if only `{}`. So a `TrackedBody` that was never read
        # proves that the submit was never sent.
        has_body = bool(fields) or not (call.repeatable or call.method == "GET")
        if has_body:
            headers = (*headers, ("content-type", "application/json"))
        return Request(
            method=call.method,
            url=url,
            headers=headers,
            body=_encode_json(fields).encode() if has_body else b"",
            needs_new_connection=not call.repeatable,
        )

    def poll(self, family: Family, ticket: Ticket) -> Request:
        """
        Return the request that polls a ticket.

        If the id has only letters and digits, insert it into a template, because this is faster.
        For any other id, build the whole request.

        Raises:
            MissingApiKey: There is no key for the family's tier.
            ValueError: The id does not fit this family.
        """
        id_ = ticket.id
        if not (id_.isascii() and id_.isalnum()):
            return self.build(family.build_poll(ticket))
        template = self._templates.get(ticket.family)
        if template is None:
            sample = self.build(family.build_poll(Ticket(ticket.family, _ID_PLACEHOLDER)))
            template = self._templates[ticket.family] = _RequestTemplate.from_request(sample)
        return template.fill(id_)


class Sender:
    """
    Sends calls and polls through one transport, and redacts the API keys in responses and errors.

    Args:
        transport: The transport that sends requests and returns responses.
        credentials: The API keys.
        timeout: The seconds after which an exchange is cancelled, unless a call has its own
            timeout.

    Attributes:
        build: Returns the HTTP request for a `Call`, with the API key. See `RequestBuilder.build`.
        on_exchange: Called with the record of each request; None for no observer.
    """

    def __init__(self, transport: Transport, credentials: Credentials, *, timeout: float) -> None:
        self._transport = transport
        self.credentials = credentials
        self._request_builder = RequestBuilder(credentials)
        self.build = self._request_builder.build
        self._deadlines = Deadlines(timeout)
        self._poll_deadlines = Deadlines(timeout)
        # The `Deadlines` of calls with their own timeout, keyed by that timeout in seconds.
        self._other_deadlines: dict[float, Deadlines] = {}
        self.on_exchange: ExchangeObserver | None = None

    async def send(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        connect_timeout: float | None = None,
    ) -> Response:
        """
        Send one request without retries, and return the response.

        Args:
            request: The request that `build` returned.
            timeout: The maximum number of seconds for the exchange; None for the sender's timeout.
            connect_timeout: The maximum number of seconds to get a connection; None for the
                transport's limit.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: No later attempt can succeed.
        """
        if connect_timeout is not None:
            request = evolve(request, connect_timeout=connect_timeout)
        return await self._send(request, self._deadlines_for(timeout))

    def poll(self, family: Family, ticket: Ticket) -> Awaitable[Response]:
        """
        Return an awaitable that polls a ticket. Only awaiting it sends the request.

        Raises:
            TransportError: No response came within the deadline.
            ConnectionImpossible: No later attempt can succeed.
            MissingApiKey: There is no key for the family's tier.
            ValueError: The ticket's id does not fit the family.
        """
        return self._send(self._request_builder.poll(family, ticket), self._poll_deadlines)

    def give_up_polls(self, now: float, age_s: float) -> None:
        """
        Cancel each poll that began `age_s` seconds ago or earlier.

        The poll raises a `TransportError`, as if it had timed out.
        """
        self._poll_deadlines.give_up(now, age_s)

    def _send(self, request: Request, deadlines: Deadlines) -> Awaitable[Response]:
        if self.on_exchange is None and not _has_level(logging.DEBUG):
            return self._exchange(request, deadlines)
        return self._timed_exchange(request, deadlines)

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
        except DeadlinePassed as late:
            error = _timeout_error(late.seconds, late)
        except TimeoutError as late:
            error = _timeout_error(deadlines.seconds, late)
        except OSError as fault:
            error = _os_error(fault)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as fault:  # noqa: BLE001 -- any error may quote the key.
            error = fault
        # Raise the error after the `except` blocks, so that its `__context__` is not the original
        # error, which may quote the key. No local variable keeps the original error either.
        error = redacted_error(error, self.credentials)
        raise error

    async def aclose(self) -> None:
        """Cancel the exchanges in flight, and close the transport if it has an `aclose` method."""
        # Do not rely on the transport's `aclose`. It may not exist, or may not cancel exchanges.
        for deadlines in (self._deadlines, self._poll_deadlines, *self._other_deadlines.values()):
            deadlines.close()
        close: Callable[[], Awaitable[None]] | None = getattr(self._transport, "aclose", None)
        if close is not None:
            await close()

    def _deadlines_for(self, timeout: float | None) -> Deadlines:
        if timeout is None:
            return self._deadlines
        if timeout not in self._other_deadlines:
            self._other_deadlines[timeout] = Deadlines(timeout)
        return self._other_deadlines[timeout]

    def _redacted(self, response: Response) -> Response:
        body, headers = self.credentials.redact(response.body), response.headers
        if response.status_code >= _FIRST_ERROR_STATUS:
            # Redact headers of error and redirect responses only, because headers of other
            # responses are never quoted in messages.
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
    Return the arguments of a `CancelledError`, or else those of its `__context__`.

    A redacted copy of the error needs them: anyio recognizes its own cancellations by them.
    """
    while isinstance(cancelled, asyncio.CancelledError):
        if cancelled.args:
            return cancelled.args
        cancelled = cancelled.__context__
    return ()
