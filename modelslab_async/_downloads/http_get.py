"""Hops: one GET for a link, and for where it redirects to. Each is checked before it is made."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx

from .._models.download_errors import DownloadError, LinkRefused, TransferFailed
from .._models.errors import ModelsLabError, UntrustedServer
from .._transport.httpx_adapter import connect_error, translate_error
from .._transport.ip_ranges import is_public
from .._transport.public_only import NotPublic

_MAX_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)


class ClientTransport(httpx.AsyncBaseTransport):
    """A caller's httpx client as a transport: with its connections, without its redirects."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True, follow_redirects=False)


class LinkOpener:
    """
    Opens links.

    Args:
        transport: What to send through.
        timeout: The most seconds that a server may be silent.
        private: Whether plain http and addresses that are not public are allowed.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, timeout: float, allow_private: bool
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._private = allow_private

    @asynccontextmanager
    async def get(
        self, link: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[httpx.Response, None]:
        """
        Open a link, and close it in the end.

        Raises:
            LinkRefused: It leads where no download goes.
            TransferFailed: Nothing answers there.
        """
        url, start_url = self._check_url(link), without_query(link)
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._send(url, headers, start_url)
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECT_STATUSES or location is None:
                    yield response
                    return
            finally:
                await response.aclose()
            try:
                url = self._check_url(str(url.join(location)), start_url=start_url)
            except httpx.InvalidURL:
                raise LinkRefused("the link redirects to what is no URL", url=start_url) from None
        raise LinkRefused(f"the link redirects more than {_MAX_REDIRECTS} times", url=start_url)

    async def chunk(self, chunks: AsyncGenerator[bytes, None], link: str) -> bytes | None:
        """
        What comes next of a body; None: it has come to its end.

        Raises:
            TransferFailed: It was cut, or nothing came for too long.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(chunks, None)
        except (httpx.HTTPError, OSError) as fault:
            raise self._to_download_error(fault, without_query(link)) from fault

    async def _send(
        self, url: httpx.URL, headers: Mapping[str, str], start_url: str
    ) -> httpx.Response:
        request = httpx.Request("GET", url, headers=headers)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._transport.handle_async_request(request)
        except NotPublic as fault:
            raise LinkRefused(
                f"the link leads to a private network: {fault}; where that is meant, allow it with "
                "allow_private=True",
                url=start_url,
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            raise self._to_download_error(fault, start_url) from fault

    def _to_download_error(
        self, fault: httpx.HTTPError | httpx.InvalidURL | OSError, start_url: str
    ) -> DownloadError:
        if isinstance(fault, TimeoutError):
            return TransferFailed(f"nothing came for {self._timeout:g} s", url=start_url)
        if isinstance(fault, OSError):
            error: ModelsLabError = connect_error(fault)
        else:
            error = translate_error(fault)
        kind = LinkRefused if isinstance(error, UntrustedServer) else TransferFailed
        return kind(error.message, url=start_url)

    def _check_url(self, link: str, *, start_url: str = "") -> httpx.URL:
        start_url = start_url or without_query(link)
        try:
            url = httpx.URL(link)
        except (httpx.InvalidURL, ValueError):
            raise LinkRefused("the link is no URL", url=start_url) from None
        schemes = ("https", "http") if self._private else ("https",)
        if url.scheme not in schemes or not url.host:
            raise LinkRefused(
                f"a link is followed to {' or '.join(schemes)} only, and this one leads to "
                f"{url.scheme or 'nothing'}://{url.host}; allow_private=True allows plain http",
                url=start_url,
            )
        if url.userinfo:
            raise LinkRefused("the link holds a user name", url=start_url)
        if not self._private and _is_private_ip(url.host):
            raise LinkRefused(
                f"the link leads to {url.host}, which is no public address; where that is meant, "
                "allow it with allow_private=True",
                url=start_url,
            )
        return url.copy_with(fragment=None)


def without_query(link: str) -> str:
    """A link without its query, which may hold a signature."""
    return link.partition("#")[0].partition("?")[0]


def _is_private_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)
