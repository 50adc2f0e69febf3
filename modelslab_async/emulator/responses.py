"""Replying: what each route needs to answer over HTTP."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import messages
from .family_formats import format_of
from .reply_bodies import URLBuilder
from .routes import FetchRoute, SubmitRoute, UtilityRoute

JSON_HEADERS = {"content-type": "application/json"}


def json_response(status_code: int, body: object, **headers: str) -> Response:
    """A response whose body is JSON."""
    return Response(messages.encode(body), status_code, {**JSON_HEADERS, **headers})


def url_builder_of(request: Request, *, query: str) -> URLBuilder:
    """Where the emulator is reached, as this request says, and what stands behind its links."""
    host = request.headers.get("host", "localhost")
    path_prefix = "/api" if request.scope["path"].startswith("/api/") else ""
    return URLBuilder(f"{request.scope['scheme']}://{host}", path_prefix, query)


def message_field_of(route: FetchRoute | SubmitRoute | UtilityRoute) -> str:
    """How the refusals of a route spell the field of their message."""
    match route:
        case FetchRoute(family_group):
            return format_of(family_group.family.name).message
        case SubmitRoute(endpoint) | UtilityRoute(endpoint):
            return format_of(endpoint.name).message
        case _:
            assert_never(route)


async def answer_non_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Take part in a server's start and stop; refuse websockets."""
    if scope["type"] != "lifespan":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
