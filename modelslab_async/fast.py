"""
FastTransport: the client's own connections with a parser in C, for those who look very often.

Needs the extra: `pip install "modelslab-async[fast]"`.
"""

from collections.abc import Coroutine
from typing import Any

try:
    from ._transport.http11.httptools_codec import HttptoolsCodec
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'the fast transport needs httptools: pip install "modelslab-async[fast]"',
        name=missing.name,
    ) from missing
from ._models.validation import check_count
from ._transport.base import Request, Response
from ._transport.http11.transport import HTTP11Transport

__all__ = ["FastTransport"]


class FastTransport:
    """
    What the client sends through by default, with httptools in the place of h11.

    The same connections, deadlines, certificates and proxies, and the same word on whether a
    failed request may have left; only the bytes are written and read faster.

    Args:
        connections: How many may be open to one host at once.

    Raises:
        ValueError: There is to be no connection at all.

    Example:
        ```python
        client = Client(http=FastTransport())
        ```
    """

    def __init__(self, *, connections: int = 1000) -> None:
        check_count("connections", connections)
        self._inner = HTTP11Transport(connections=connections, make_codec=HttptoolsCodec)

    def exchange(self, request: Request) -> Coroutine[Any, Any, Response]:
        """See `Transport.exchange`."""
        return self._inner.exchange(request)

    async def aclose(self) -> None:
        """Close every connection. The client does it at its own end."""
        await self._inner.aclose()
