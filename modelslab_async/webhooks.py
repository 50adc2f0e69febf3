"""
Webhooks: an ASGI application that receives the service's webhook deliveries.

The service does not sign its deliveries, so the result in a delivery is never used. A delivery only
makes the client poll the ticket at once.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ._client import Client
from ._engine.webhook_fetches import OnReply, WebhookFetches
from ._engine.webhook_ticket_lookup import hinted_ticket
from ._models.argument_checks import check_callback, check_type
from ._models.errors import ClientClosed
from ._parsing.webhook_ids import WebhookHint, read_webhook
from ._submitting.webhook_addresses import check_secret

__all__ = ["receiver"]

_MAX_BODY_BYTES = 1024 * 1024
# The time to wait for the body of a delivery. The service waits 30 seconds for an answer.
_BODY_TIMEOUT_S = 30.0

_logger = logging.getLogger("modelslab_async")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


def receiver(
    client: Client, *, secret: str | None = None, on_reply: OnReply | None = None
) -> ASGIApp:
    """
    Make an ASGI application that receives the service's webhook deliveries.

    Mount the application under Starlette, FastAPI, Litestar or Quart, and submit with
    `webhook=client.webhook_url(base)`. Here `base` is the public address of the application. When a
    delivery comes, the client polls the ticket at once, if a caller waits for it. Other clients of
    the shared account do the same. Late, repeated and forged deliveries do no harm, because each
    client gets the result by its own poll.

    With `on_reply`, no caller has to wait. At each delivery, the client fetches the ticket, passes
    the reply to `on_reply`, and then answers the delivery. Deliveries that come before a fetch has
    started share it and its answer: 200 if `on_reply` returned, 500 if it raised, 503 if the poll
    failed. While 32 fetches are in progress, a delivery that needs another gets a 503. Submit with
    `webhook=client.webhook_url(base, family="realtime")`, so that the address names the family.

    Args:
        client: Polls the tickets.
        secret: The same secret as for `client.webhook_url`; None for the client's random secret.
        on_reply: Called with each fresh reply, and awaited if it is async. A repeated delivery may
            call it again. After a forged delivery, the reply may be a `Processing`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `secret` is empty.

    Example:
        ```python
        app = Starlette(routes=[Mount("/hooks", webhooks.receiver(client))])
        ```
    """
    check_type("client", client, Client, "a Client")
    check_secret(secret)
    check_callback("on_reply", on_reply, allow_async=True)
    webhook_receiver = _Receiver(client, secret, on_reply)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
        elif scope["type"] == "http":
            await _respond(send, await webhook_receiver.take(scope, receive))
        else:
            await send({"type": "websocket.close", "code": 1000})

    return app


class _Receiver:
    """Receives the webhooks for one client."""

    def __init__(self, client: Client, secret: str | None, on_reply: OnReply | None) -> None:
        self._client = client
        self._secret = secret
        self._fetches = None if on_reply is None else WebhookFetches(client.engine, on_reply)

    async def take(self, scope: Message, receive: Receive) -> int:
        """Handle one delivery, and return the status code of the response."""
        family = self._family_in(str(scope["path"]))
        if family is None:
            return 404
        if scope["method"] != "POST":
            return 405
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                body = await _read_body(receive)
        except TimeoutError:
            return 408
        if body is None:
            return 413
        # Redact the API key, because the ids in a webhook are logged and sent to all clients of the
        # shared account.
        hint = read_webhook(self._client.engine.redact(body))
        return 400 if hint is None else await self._apply(hint, family)

    def _family_in(self, path: str) -> str | None:
        """
        Return the family that a path names, or "" if the path names none.

        Return None if the secret in the path is wrong.
        """
        engine = self._client.engine
        before, _, token = path.rstrip("/").rpartition("/")
        named = before.rpartition("/")[2]
        # A forged path may contain bytes that are not UTF-8. Some servers pass these as lone
        # surrogates.
        given = token.encode(errors="surrogatepass")
        for family in ("", named) if named in engine.status_client.families else ("",):
            expected = engine.webhooks.token(self._secret, family)
            if hmac.compare_digest(given, expected.encode()):
                return family
        return None

    async def _apply(self, hint: WebhookHint, family: str) -> int:
        engine = self._client.engine
        try:
            engine.take_hint(hint)
            if self._fetches is None:
                return 200
            ticket = hinted_ticket(engine, hint, family)
        except ClientClosed:
            return 503
        if ticket is None:
            _logger.warning(
                "a webhook named no known ticket, so on_reply got nothing; make its address with "
                "client.webhook_url(base, family=...)"
            )
            return 200
        return await self._fetches.answer(ticket)


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
