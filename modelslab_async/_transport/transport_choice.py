"""Chooses the transport for the `http` argument of a client."""

from typing import cast

from .http11.transport import HTTP11Transport
from .httpx_adapter import HttpxClientAdapter, HttpxTransportAdapter
from .httpx_or_httpx2 import HTTPArgument, library_of
from .transport_protocol import Transport


def as_transport(given: HTTPArgument | None, connections: int) -> Transport:
    """
    Return a transport for the `http` argument of a client.

    Args:
        given: The argument that the caller passed; None for the default transport.
        connections: The default transport's maximum number of connections to one host.

    Raises:
        TypeError: The argument is neither a `Transport` nor an object of httpx or httpx2.
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
