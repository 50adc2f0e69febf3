"""Hops: one GET for a link, and for where it redirects to. Each is checked before it is made."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx

from .._models.errors import (
    DownloadError,
    LinkRefused,
    ModelsLabError,
    TransferFailed,
    UntrustedServer,
)
from .._transport.httpx_adapter import translated, unreachable
from .._transport.ip_ranges import is_public
from .._transport.public_only import NotPublic

_MOST = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class ClientTransport(httpx.AsyncBaseTransport):
    """A caller's httpx client as a transport: with its connections, without its redirects."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True, follow_redirects=False)


class Hops:
    """
    Opens links.

    Args:
        transport: What to send through.
        timeout: The most seconds that a server may be silent.
        private: Whether plain http and addresses that are not public are allowed.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, timeout: float, private: bool
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._private = private

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
        url, start = self._checked(link), bare(link)
        for _ in range(_MOST + 1):
            response = await self._answer(url, headers, start)
            try:
                place = response.headers.get("location")
                if response.status_code not in _REDIRECTS or place is None:
                    yield response
                    return
            finally:
                await response.aclose()
            try:
                url = self._checked(str(url.join(place)), start=start)
            except httpx.InvalidURL:
                raise LinkRefused("the link redirects to what is no URL", url=start) from None
        raise LinkRefused(f"the link redirects more than {_MOST} times", url=start)

    async def piece(self, pieces: AsyncGenerator[bytes, None], link: str) -> bytes | None:
        """
        What comes next of a body; None: it has come to its end.

        Raises:
            TransferFailed: It was cut, or nothing came for too long.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(pieces, None)
        except (httpx.HTTPError, OSError) as fault:
            raise self._failed(fault, bare(link)) from fault

    async def _answer(
        self, url: httpx.URL, headers: Mapping[str, str], start: str
    ) -> httpx.Response:
        request = httpx.Request("GET", url, headers=headers)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._transport.handle_async_request(request)
        except NotPublic as fault:
            raise LinkRefused(
                f"the link leads to a private network: {fault}; where that is meant, allow it with "
                "private=True",
                url=start,
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            raise self._failed(fault, start) from fault

    def _failed(
        self, fault: httpx.HTTPError | httpx.InvalidURL | OSError, start: str
    ) -> DownloadError:
        if isinstance(fault, TimeoutError):
            return TransferFailed(f"nothing came for {self._timeout:g} s", url=start)
        if isinstance(fault, OSError):
            error: ModelsLabError = unreachable(fault)
        else:
            error = translated(fault)
        kind = LinkRefused if isinstance(error, UntrustedServer) else TransferFailed
        return kind(error.message, url=start)

    def _checked(self, link: str, *, start: str = "") -> httpx.URL:
        start = start or bare(link)
        try:
            url = httpx.URL(link)
        except (httpx.InvalidURL, ValueError):
            raise LinkRefused("the link is no URL", url=start) from None
        schemes = ("https", "http") if self._private else ("https",)
        if url.scheme not in schemes or not url.host:
            raise LinkRefused(
                f"a link is followed to {' or '.join(schemes)} only, and this one leads to "
                f"{url.scheme or 'nothing'}://{url.host}; private=True allows plain http",
                url=start,
            )
        if url.userinfo:
            raise LinkRefused("the link holds a user name", url=start)
        if not self._private and _is_private_literal(url.host):
            raise LinkRefused(
                f"the link leads to {url.host}, which is no public address; where that is meant, "
                "allow it with private=True",
                url=start,
            )
        return url.copy_with(fragment=None)


def bare(link: str) -> str:
    """A link without its query, which may hold a signature."""
    return link.partition("#")[0].partition("?")[0]


def _is_private_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)
