"""Opens links and follows redirects, but checks each URL first. It never sends the API key."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias, cast

import httpx

from .._models.download_errors import DownloadError, LinkRefused, TransferFailed
from .._models.errors import ModelsLabError, RequestBlocked, UntrustedServer
from .._transport.exchange_timer import ExchangeObserver, ExchangeTimer
from .._transport.httpx_adapter import guard_request
from .._transport.httpx_or_httpx2 import (
    HTTPX,
    Httpx2Client,
    Httpx2Transport,
    HttpxLibrary,
    is_httpx_error,
    library_of,
)
from .._transport.ip_ranges import NotPublic, is_private_address
from .._transport.network_error_translation import connect_error, translate_error
from .download_error_translation import with_open_files_advice

HTTPClient: TypeAlias = (
    httpx.AsyncBaseTransport | httpx.AsyncClient | Httpx2Transport | Httpx2Client
)
Send: TypeAlias = Callable[[httpx.Request], Awaitable[httpx.Response]]

_MAX_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_PORTS = range(1, 1 << 16)
# The maximum length of a host name, in characters (RFC 1035, section 2.3.4).
_MAX_HOST_CHARS = 253


class LinkOpener:
    """
    Opens the links to outputs.

    Args:
        send: Sends one request, and returns the response before the body is read. Must not follow
            redirects.
        timeout: The maximum number of seconds to wait for a response, or for the next bytes of a
            body.
        allow_private: Whether links may use plain http and private addresses.

    Attributes:
        on_exchange: Called with a record of each request and its response. None for no observer.
    """

    def __init__(self, send: Send, *, timeout: float, allow_private: bool) -> None:
        self._send_request = send
        self._timeout = timeout
        self._allow_private = allow_private
        self.on_exchange: ExchangeObserver | None = None

    @asynccontextmanager
    async def get(
        self, link: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[httpx.Response, None]:
        """
        Open a link, and close the response at the end of the `with` block.

        Raises:
            LinkRefused: The link or a redirect leads to a URL that must not be opened, or to a
                server with an invalid certificate. Or there are too many redirects.
            TransferFailed: The server cannot be reached, or does not respond in time.
        """
        start_url = without_query(link)
        url = self._checked_url(link, start_url)
        for _ in range(_MAX_REDIRECTS + 1):
            with ExchangeTimer("GET", str(url), observer=self.on_exchange) as timer:
                response = await self._send(url, headers, start_url)
                timer.status_code = response.status_code
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECT_STATUSES or location is None:
                    yield response
                    return
            finally:
                # Ignore errors in closing: they say nothing about the bytes that were read.
                with suppress(Exception):
                    await response.aclose()
            url = self._checked_url(location, start_url, base=url)
        raise LinkRefused(f"the link redirects more than {_MAX_REDIRECTS} times", url=start_url)

    async def chunk(self, chunks: AsyncGenerator[bytes, None], link: str) -> bytes | None:
        """
        Return the next chunk of a body, or None at its end.

        Raises:
            TransferFailed: The connection broke, or no bytes came within the timeout.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(chunks, None)
        except Exception as fault:
            raise self._to_download_error(fault, without_query(link)) from fault

    async def _send(
        self, url: httpx.URL, headers: Mapping[str, str], start_url: str
    ) -> httpx.Response:
        try:
            request = httpx.Request("GET", url, headers=headers)
            guard_request(request)
            async with asyncio.timeout(self._timeout):
                return await self._send_request(request)
        except NotPublic as fault:
            raise LinkRefused(
                f"the link leads to a private network: {fault}",
                url=start_url,
                argument="allow_private",
            ) from None
        except Exception as fault:
            raise self._to_download_error(fault, start_url) from fault

    def _to_download_error(self, fault: Exception, start_url: str) -> DownloadError:
        match fault:
            case TimeoutError():
                return TransferFailed(f"nothing came for {self._timeout:g} s", url=start_url)
            case OSError():
                error: ModelsLabError = connect_error(fault)
            case RequestBlocked():
                error = fault
            case _ if is_httpx_error(fault):
                error = translate_error(fault)
            case _:
                # The user's transport raised this error. Omit the text of the error, because the
                # text may quote the link.
                error = TransferFailed(f"the transport raised {type(fault).__name__}")
        is_final = isinstance(error, (UntrustedServer, RequestBlocked))
        kind = LinkRefused if is_final else TransferFailed
        return kind(with_open_files_advice(error.message, fault), url=start_url)

    def _checked_url(
        self, link: str, start_url: str, *, base: httpx.URL | None = None
    ) -> httpx.URL:
        url = _parse_url(link, start_url, base)
        schemes = ("https", "http") if self._allow_private else ("https",)
        if url.scheme not in schemes or not url.host:
            raise LinkRefused(
                f"a link is followed to {' or '.join(schemes)} only, and this one leads to "
                f"{url.scheme or 'nothing'}://{url.host}",
                url=start_url,
                argument="allow_private" if url.scheme == "http" else "",
            )
        if url.userinfo:
            raise LinkRefused("the link holds a user name", url=start_url)
        if not self._allow_private and is_private_address(url.host):
            raise LinkRefused(
                f"the link leads to {url.host}, which is no public address",
                url=start_url,
                argument="allow_private",
            )
        return url


def without_query(link: str) -> str:
    """Return a link without query and fragment. The query may contain a secret signature."""
    return link.partition("#")[0].partition("?")[0]


def _parse_url(link: str, start_url: str, base: httpx.URL | None) -> httpx.URL:
    with suppress(httpx.InvalidURL, ValueError):
        url = (base.join(link) if base else httpx.URL(link)).copy_with(fragment=None)
        # httpx decodes the host only when `url.host` is read. It then raises for invalid hosts such
        # as `xn--a`.
        if len(url.host) <= _MAX_HOST_CHARS and (url.port is None or url.port in _PORTS):
            return url
    what = "the link is no URL" if base is None else "the link redirects to what is no URL"
    raise LinkRefused(what, url=start_url)


def send_through(http: object) -> Send:
    """
    Return a function that sends a request through a client or transport of httpx or httpx2.

    Raises:
        TypeError: `http` is neither a client nor a transport.
    """
    library, given = library_of(http), cast(Any, http)
    if library is None:
        raise TypeError(
            "http is an AsyncClient or AsyncBaseTransport of httpx or httpx2, "
            f"got {type(http).__name__}"
        )
    send: Send = (
        partial(given.send, stream=True, follow_redirects=False)
        if library.is_client(http)
        else given.handle_async_request
    )
    return send if library is HTTPX else _converting(library, send)


def _converting(library: HttpxLibrary, send: Send) -> Send:
    """Return a function that copies an httpx request to an httpx2 request, and sends the copy."""

    async def send_copy(request: httpx.Request) -> httpx.Response:
        copied = library.module.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            extensions=request.extensions,
        )
        return await send(copied)

    return send_copy
