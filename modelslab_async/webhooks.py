"""
Webhooks: an ASGI application that receives the service's webhook deliveries.

The service does not sign its deliveries, so the result in a delivery is never used. A delivery only
makes the client poll the ticket at once.
"""

import asyncio
import hmac
import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ._aio.callbacks import call_and_await
from ._aio.yield_and_wakeup import is_cancelled
from ._client import Client
from ._engine.webhook_ticket_lookup import hinted_ticket
from ._models.argument_checks import check_callback, check_type
from ._models.errors import ClientClosed, ModelsLabError
from ._models.replies import Reply
from ._models.ticket import Ticket
from ._parsing.webhook_ids import WebhookHint, read_webhook
from ._submitting.webhook_addresses import check_secret

__all__ = ["receiver"]

_MAX_BODY_BYTES = 1024 * 1024
# The time to wait for the body of a delivery. The service waits 30 seconds for an answer.
_BODY_TIMEOUT_S = 30.0
# The maximum number of deliveries in progress if there is an `on_reply`. Further deliveries get a
# 503 response.
_MAX_IN_PROGRESS = 32

_logger = logging.getLogger("modelslab_async")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
OnReply: TypeAlias = Callable[[Reply], object]


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

    With `on_reply`, no caller has to wait. At each delivery, the client fetches the ticket once,
    passes the reply to `on_reply`, and then answers the delivery. Submit with
    `webhook=client.webhook_url(base, family="realtime")`, so that the address names the family.

    Args:
        client: Polls the tickets.
        secret: The same secret as for `client.webhook_url`; None for the client's random secret.
        on_reply: Called with the fresh reply, and awaited if it is async. After a repeated
            delivery, it is called again. After a forged delivery, the reply may be a `Processing`.

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
        self._on_reply = on_reply
        self._in_progress = 0
        self._waiting: set[Ticket] = set()
        self._fetched_at: dict[Ticket, float] = {}

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
            if self._on_reply is None:
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
        if ticket in self._waiting:
            # Skip this delivery: an earlier delivery already waits to fetch the same ticket. That
            # fetch has not started, so its reply will include whatever this delivery announces.
            return 200
        if self._in_progress >= _MAX_IN_PROGRESS:
            return 503
        self._in_progress += 1
        try:
            await self._wait_for_floor(ticket)
            return await self._pass_on(ticket, self._on_reply)
        finally:
            self._in_progress -= 1

    async def _wait_for_floor(self, ticket: Ticket) -> None:
        """Wait until `Pace.floor` seconds have passed since the previous fetch of this ticket."""
        floor, now = self._client.engine.pace.limits.floor, asyncio.get_running_loop().time
        self._waiting.add(ticket)
        try:
            await asyncio.sleep(self._fetched_at.get(ticket, -math.inf) + floor - now())
        finally:
            self._waiting.discard(ticket)
        # Move the ticket's entry to the end of `_fetched_at`, so that the oldest entries stay in
        # front.
        self._fetched_at.pop(ticket, None)
        self._fetched_at[ticket] = fetched_at = now()
        while self._fetched_at[oldest := next(iter(self._fetched_at))] + floor < fetched_at:
            del self._fetched_at[oldest]

    async def _pass_on(self, ticket: Ticket, on_reply: OnReply) -> int:
        """Fetch a ticket once, and pass the reply to `on_reply`."""
        try:
            reply = await self._client.fetch(ticket)
        except ModelsLabError as error:
            _logger.warning("the webhook of %s has no effect, its poll failed: %s", ticket, error)
            return 503
        try:
            await call_and_await(on_reply, reply)
        except (KeyboardInterrupt, SystemExit):
            raise
        # Catch CancelledError too: `on_reply` can raise it although this task was not cancelled.
        except BaseException:
            if is_cancelled():
                raise
            _logger.exception("on_reply raised for %s", ticket)
            return 500
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
