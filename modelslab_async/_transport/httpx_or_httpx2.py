"""
HttpxLibrary: one of the packages httpx and httpx2, which have the same interface.

A request uses the classes and errors of one package: the package of the client or transport that
the caller passed. This module does not import httpx2, because a caller who passes an httpx2 object
has already imported httpx2.
"""

import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import httpx
from attrs import frozen

from .._models.errors import ModelsLabError
from .httpcore_guard import watch_connections
from .send_proof import TrackedBody
from .transport_protocol import Transport

# For httpx and httpx2, the name of the package that opens their connections.
_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}


class Httpx2Transport(Protocol):
    """The part of an `httpx2.AsyncBaseTransport` that this package uses."""

    @property
    def handle_async_request(self) -> Callable[..., Any]:
        """Send one request."""
        ...


class Httpx2Client(Protocol):
    """The part of an `httpx2.AsyncClient` that this package uses."""

    @property
    def build_request(self) -> Callable[..., Any]:
        """Build one request."""
        ...

    @property
    def send(self) -> Callable[..., Any]:
        """Send one request."""
        ...


HTTPArgument: TypeAlias = (
    Transport | httpx.AsyncBaseTransport | httpx.AsyncClient | Httpx2Transport | Httpx2Client
)


@frozen(kw_only=True, eq=False)
class HttpxLibrary:
    """
    The package httpx or httpx2, and subclasses of its classes.

    Attributes:
        module: The package.
        core: The name of the package that opens connections for `module`: "httpcore" or
            "httpcore2".
        make_body: Makes a `TrackedBody` that transports of the package accept.
        make_request: Copies a request. The copy reads its body from a `TrackedBody`.
        make_url: Makes a URL whose text omits the query.
        send_errors: The errors that clients and transports of the package raise if an exchange
            fails.
    """

    module: ModuleType
    core: str
    make_body: Callable[[bytes, Callable[[], None]], TrackedBody]
    make_request: Callable[..., Any]
    make_url: Callable[[Any], Any]
    send_errors: tuple[type[Exception], ...]

    def is_client(self, given: object) -> bool:
        """Return whether an object is an `AsyncClient` of the package `module`."""
        return isinstance(given, self.module.AsyncClient)

    def is_transport(self, given: object) -> bool:
        """Return whether an object is an `AsyncBaseTransport` of the package `module`."""
        return isinstance(given, self.module.AsyncBaseTransport)


def library_of(given: object) -> HttpxLibrary | None:
    """Return the `HttpxLibrary` of a client or transport; None for any other object."""
    for name in _CORES:
        module = sys.modules.get(name)
        if module is not None:
            library = httpx_library(module)
            if library.is_client(given) or library.is_transport(given):
                return library
    return None


def is_httpx_error(fault: Exception) -> bool:
    """Return whether an error comes from httpx or httpx2."""
    modules = filter(None, map(sys.modules.get, _CORES))
    return any(isinstance(fault, (module.HTTPError, module.InvalidURL)) for module in modules)


@cache
def httpx_library(module: ModuleType) -> HttpxLibrary:
    """Return the `HttpxLibrary` of the package httpx or httpx2."""
    core = _CORES[module.__name__]
    return HttpxLibrary(
        module=module,
        core=core,
        make_body=type(
            "TrackedBody",
            (TrackedBody, module.AsyncByteStream, module.SyncByteStream),
            {"closed_error": module.StreamClosed},
        ),
        make_request=_tracked_request_type(module.Request, core),
        make_url=_redacted_url_type(module.URL),
        # `ModelsLabError` is included because a hook of the caller's httpx client may use
        # modelslab_async.
        send_errors=(module.HTTPError, module.InvalidURL, ModelsLabError),
    )


def _tracked_request_type(request_type: Any, core: str) -> type[Any]:
    class TrackedRequest(request_type):  # type: ignore[misc]
        """A copy of a request. The copy reads its body from a `TrackedBody`."""

        def __init__(self, request: Any, body: TrackedBody, *, needs_new_connection: bool) -> None:
            super().__init__(
                request.method,
                request.url,
                headers=request.headers,
                stream=body,
                extensions=watch_connections(
                    request.extensions, core=core, needs_new_connection=needs_new_connection
                ),
            )
            # `super().__init__` makes a copy of the URL. Restore the original, whose class may hide
            # the query.
            self.url = request.url

        @property
        def content(self) -> bytes:
            """The bytes of the body. Accessing them counts as reading the body."""
            content: bytes = self.read()
            return content

    return TrackedRequest


def _redacted_url_type(url_type: Any) -> type[Any]:
    class RedactedURL(url_type):  # type: ignore[misc]
        """A URL whose text omits the query. httpx logs URLs, and the query may hold the key."""

        def __str__(self) -> str:
            return str(super().__str__()).partition("?")[0]

    return RedactedURL


# `cache` needs a hashable argument. A module is hashable, but pyright reports that it is not.
HTTPX = httpx_library(httpx)  # pyright: ignore[reportArgumentType]
