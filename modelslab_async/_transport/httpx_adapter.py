"""Sends requests through a client or transport of httpx or httpx2."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from .._models.errors import ModelsLabError, RequestBlocked, TransportError
from .httpcore_guard import keep_only_if_watched
from .httpx_or_httpx2 import HTTPX, HttpxLibrary
from .network_error_translation import translate_error
from .proxy import UNAUTHORIZED_STATUS, wrong_password_error
from .send_proof import TrackedBody, mark_unsent
from .testing_guard import OUTBOUND_GUARD
from .transport_protocol import BODY_TOO_LONG, BodyBuffer, Request, Response, is_too_long

# Other packages with transports for httpx. The transports may raise errors of these packages
# instead of httpx errors.
_OTHER_NETWORK_PACKAGES = ("aiohttp.", "pyreqwest.")
# The number of chunks of a body that the adapter reads between two yields to the event loop.
_CHUNKS_PER_YIELD = 100


class HttpxTransportAdapter:
    """
    Sends requests through an `httpx.AsyncBaseTransport`, without an `httpx.AsyncClient`.

    Args:
        transport: The transport to send through. `aclose` closes this transport too.
        library: The package of the transport, which is httpx or httpx2.
    """

    def __init__(self, transport: Any, library: HttpxLibrary = HTTPX) -> None:
        self._transport = transport
        self._library = library

    async def exchange(self, request: Request) -> Response:
        """Send one request and read its response."""
        send = self._transport.handle_async_request
        response = await _send_tracked(request, self._build, send, self._library)
        return await _read_response(response, self._library)

    def _build(self, request: Request) -> Any:
        return self._library.module.Request(
            request.method, request.url, headers=request.headers, content=request.body or None
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


class HttpxClientAdapter:
    """
    Sends requests through a caller's `httpx.AsyncClient`, with the settings of that client.

    Args:
        client: The client to send through. It is never closed here, because the caller owns it.
        library: The package of the client, which is httpx or httpx2.
    """

    def __init__(self, client: Any, library: HttpxLibrary = HTTPX) -> None:
        self._client = client
        self._library = library

    async def exchange(self, request: Request) -> Response:
        """Send one request and read its response."""
        response = await _send_tracked(request, self._build, self._send, self._library)
        return await _read_response(response, self._library)

    def _build(self, request: Request) -> Any:
        built = self._client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body or None,
        )
        built.url = self._library.make_url(built.url)
        return built

    async def _send(self, request: Any) -> Any:
        return await self._client.send(request, stream=True, follow_redirects=False)


async def _send_tracked(
    request: Request,
    build: Callable[[Request], Any],
    send: Callable[[Any], Awaitable[Any]],
    library: HttpxLibrary,
) -> Any:
    """
    Send a request. If this fails, the error says whether the request may have been sent.

    A connect error alone does not prove that the request was not sent, because a hook or a wrapper
    can raise such an error after sending. But if nothing has read the body of the request, the
    request was certainly not sent.
    """
    body = library.make_body(request.body, request.check_sendable)
    tracked: Any = None
    try:
        tracked = library.make_request(
            _with_connect_timeout(build(request), request),
            body,
            needs_new_connection=request.needs_new_connection,
        )
        guard_request(tracked)
        return await send(tracked)
    except asyncio.CancelledError as cancelled:
        if body.withdraw():
            mark_unsent(cancelled)
        raise
    except Exception as fault:
        if body.refusal is None and not _is_send_error(fault, library):
            raise
        failed: Any = fault
        if isinstance(failed, library.module.HTTPStatusError) and _is_response_to(
            tracked, failed.response
        ):
            # A hook of the caller's client called `raise_for_status`. Return the response that the
            # error holds.
            return failed.response
        error = _send_error(fault, body, request)
    finally:
        del tracked
    # Raise the error after the `except` blocks, so that its `__context__` is not the httpx error,
    # which holds the key.
    raise error


def _send_error(fault: Exception, body: TrackedBody, request: Request) -> ModelsLabError:
    """Withdraw the body. Return the error that replaces the transport's error."""
    is_unsent = body.withdraw()
    if body.refusal is not None:
        # `check_sendable` raised this error. The transport may have raised another one instead.
        return body.refusal
    if isinstance(fault, RequestBlocked):
        fault.may_have_been_sent = bool(request.body) and not is_unsent
        return fault
    return translate_error(
        fault, is_unsent=is_unsent, believe_tls_error=not request.needs_new_connection
    )


def _with_connect_timeout(built: Any, request: Request) -> Any:
    """Apply the request's connect timeout, unless the httpx client has a shorter one."""
    if request.connect_timeout is not None:
        timeouts = built.extensions.get("timeout", {})
        given = (timeouts.get(name) for name in ("connect", "pool"))
        connect, pool = (min(each or math.inf, request.connect_timeout) for each in given)
        limits = {"timeout": {**timeouts, "connect": connect, "pool": pool}}
        built.extensions = {**built.extensions, **limits}
    return built


def guard_request(request: Any) -> None:
    """
    Call `OUTBOUND_GUARD.check` whenever httpx connects or sends for this request.

    The guard never refuses a request to a mock, or to an application in the same process, because
    such a request opens no connection.
    """
    if not OUTBOUND_GUARD.refusal:
        return
    next_trace = request.extensions.get("trace")

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        # Check the current URL, because a hook of the client may have changed it.
        OUTBOUND_GUARD.check(request.url.host)
        if next_trace is not None:
            await next_trace(event, info)

    request.extensions = {**request.extensions, "trace": trace}


def _is_send_error(fault: Exception, library: HttpxLibrary) -> bool:
    """
    Return whether an error came from sending the request, and not from a bug in a caller's hook.

    Over HTTP/2, httpcore does not translate every error of the packages that it uses. For example,
    an invalid status raises a `ValueError`. So every error that comes through httpcore counts. An
    `OSError` does not count, because `Sender` translates it.
    """
    packages = (f"{library.core}.", *_OTHER_NETWORK_PACKAGES)
    return isinstance(fault, library.send_errors) or (
        not isinstance(fault, OSError)
        and any(
            frame.f_globals.get("__name__", "").startswith(packages)
            for frame, _ in walk_tb(fault.__traceback__)
        )
    )


def _is_response_to(request: object, response: Any) -> bool:
    try:
        return bool(response.request is request)
    except RuntimeError:
        # `response.request` raises a `RuntimeError` if the response was made without a request.
        return False


async def _read_response(response: Any, library: HttpxLibrary) -> Response:
    headers, body = response.headers.raw, BodyBuffer()
    keep_only_if_watched(response.extensions, core=library.core)
    try:
        problem = BODY_TOO_LONG if is_too_long(headers) else await _read_body(response, body)
        error: ModelsLabError
        if response.status_code == UNAUTHORIZED_STATUS:
            error = wrong_password_error("the proxy")
        elif problem:
            error = TransportError(problem)
        else:
            return Response(status_code=response.status_code, headers=headers, body=body.getvalue())
    except Exception as fault:
        if not _is_send_error(fault, library):
            raise
        error = translate_error(fault, believe_tls_error=False)
    finally:
        # Ignore an error of `aclose`. It must not replace the response, which may contain the
        # ticket of paid work.
        with suppress(Exception):
            await response.aclose()
    raise error


async def _read_body(response: Any, body: BodyBuffer) -> str:
    async for chunk in raw_chunks(response):
        if problem := body.add(chunk):
            return problem
        if not body.chunk_count % _CHUNKS_PER_YIELD:
            # httpx does not yield to the event loop while it has unread bytes, so yield here.
            await asyncio.sleep(0)
    return ""


async def raw_chunks(response: Any) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a body as they were sent, without decoding them."""
    # An event hook of the caller's client may have read, and so decoded, the body already.
    if response.is_stream_consumed:
        yield await response.aread()
        return
    if response.is_closed:
        # httpx closed the response because a hook raised an error. Nothing had read the body, so it
        # is lost.
        return
    # Do not use `aiter_raw`, because it also closes the response. An error while closing would look
    # like an error while reading. The caller closes the response.
    async for chunk in response.stream:
        yield chunk
