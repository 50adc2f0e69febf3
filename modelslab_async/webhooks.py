"""
Webhooks: an ASGI application for the service's deliveries.

The service does not sign its deliveries. So a delivery only makes the client poll the ticket now,
and its content is never taken for the result.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ._client import Client
from ._models.errors import ClientClosed
from ._parsing.webhook_ids import read_webhook

__all__ = ["receiver"]

_MAX_BODY_BYTES = 1024 * 1024
# The service waits 30 seconds for an answer, so a slower delivery has failed anyway.
_BODY_TIMEOUT_S = 30.0

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


def receiver(client: Client, *, secret: str | None = None) -> ASGIApp:
    """
    Make an ASGI application that takes the deliveries of the service.

    Mount it under Starlette, FastAPI, Litestar or Quart, and submit with
    `webhook=client.webhook_url(base)`, where `base` is the public address that it is mounted at.
    For each delivery the client polls the ticket now, if a caller waits for it. So late, repeated
    and forged deliveries do no harm.

    Args:
        client: Polls the tickets.
        secret: The same secret as for `client.webhook_url`; None for the client's random secret.

    Example:
        ```python
        app = Starlette(routes=[Mount("/hooks", webhooks.receiver(client))])
        ```
    """
    token = client.webhook_url("", secret=secret).strip("/").encode()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
        elif scope["type"] == "http":
            await _respond(send, await _receive_webhook(client, token, scope, receive))
        else:
            await send({"type": "websocket.close", "code": 1000})

    return app


async def _receive_webhook(client: Client, token: bytes, scope: Message, receive: Receive) -> int:
    """Take one delivery, and return the status code to answer with."""
    path_token = str(scope["path"]).rstrip("/").rpartition("/")[2]
    # A server may pass bytes of the path that are no UTF-8 as lone surrogates.
    if not hmac.compare_digest(path_token.encode(errors="surrogatepass"), token):
        return 404
    if scope["method"] != "POST":
        return 405
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            body = await _read_body(receive)
    except TimeoutError:
        return 408
    return 413 if body is None else _apply_hint(client, body)


def _apply_hint(client: Client, body: bytes) -> int:
    hint = read_webhook(body)
    if hint is None:
        return 400
    try:
        client.engine.apply_hint(hint)
    except ClientClosed:
        return 503
    return 200


async def _read_body(receive: Receive) -> bytes | None:
    """Read the body of a request; None if it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _respond(send: Send, status: int) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
