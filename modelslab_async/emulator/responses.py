"""Replying: what each route needs to answer over HTTP."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import messages
from .family_formats import dialect_of
from .reply_bodies import Site
from .routes import Ask, Fetch, Submit

JSON = {"content-type": "application/json"}


def as_json(status_code: int, body: object, **headers: str) -> Response:
    """A response whose body is JSON."""
    return Response(messages.encode(body), status_code, {**JSON, **headers})


def site_of(request: Request, *, query: str) -> Site:
    """Where the emulator is reached, as this request says, and what stands behind its links."""
    host = request.headers.get("host", "localhost")
    mount = "/api" if request.scope["path"].startswith("/api/") else ""
    return Site(f"{request.scope['scheme']}://{host}", mount, query)


def spelling_of(route: Fetch | Submit | Ask) -> str:
    """How the refusals of a route spell the field of their message."""
    match route:
        case Fetch(shelf):
            return dialect_of(shelf.family.name).message
        case Submit(endpoint) | Ask(endpoint):
            return dialect_of(endpoint.name).message
        case _:
            assert_never(route)


async def take_part(scope: Scope, receive: Receive, send: Send) -> None:
    """Take part in a server's start and stop; refuse websockets."""
    if scope["type"] != "lifespan":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
