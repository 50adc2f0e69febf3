"""Discord on loopback: its HTTP API and its gateway, as far as a bot with commands needs them."""

import json
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from attrs import Factory, define, field

from .conftest import until

APPLICATION, CHANNEL, USER, SERVER = 11, 22, 33, 44


def user(number: int, name: str) -> dict[str, Any]:
    return {"id": str(number), "username": name, "discriminator": "0", "avatar": None}


@define(eq=False)
class Discord:
    """
    Answers as Discord's HTTP API and its gateway do.

    Attributes:
        calls: What was called, in order.
        answers: The text and the files of each answer to a command.
        messages: The text and the files of each message to the channel.
        refused: The paths that are refused from now on.
    """

    calls: list[str] = Factory(list)
    answers: list[tuple[str, dict[str, bytes]]] = Factory(list)
    messages: list[tuple[str, dict[str, bytes]]] = Factory(list)
    refused: set[str] = field(factory=set)
    _gateway: web.WebSocketResponse | None = None

    async def give(self, command: dict[str, Any]) -> None:
        """Send a command of a user to the bot."""
        await until(lambda: self._gateway)
        await self._dispatch("INTERACTION_CREATE", command)

    @asynccontextmanager
    async def serve(self):
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/gateway", self._serve_gateway)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _serve_gateway(self, request: web.Request) -> web.WebSocketResponse:
        gateway = web.WebSocketResponse()
        await gateway.prepare(request)
        await gateway.send_json({"op": 10, "d": {"heartbeat_interval": 600_000}})
        async for message in gateway:
            if json.loads(message.data)["op"] == 2:
                self._gateway = gateway
                await self._dispatch("READY", _READY)
        self._gateway = None
        return gateway

    async def _dispatch(self, event: str, content: dict[str, Any]) -> None:
        await self._gateway.send_json({"op": 0, "t": event, "s": 1, "d": content})

    async def _answer(self, request: web.Request) -> web.Response:
        kind = request.path.split("/")[1]
        self.calls.append(f"{request.method} {kind}")
        if kind in self.refused:
            body = {"code": 50027, "message": "Invalid Webhook Token"}
            return _response(body, status=401)
        match kind:
            case "users":
                return _response(user(APPLICATION, "artist"))
            case "oauth2":
                return _response(_APPLICATION)
            case "applications":
                return _response([])
            case "interactions":
                interaction = {"id": "1", "type": 2, "response_message_id": "2"}
                return _response({"interaction": interaction, "resource": {"type": 5}})
            case "webhooks":
                self.answers.append(await _content(request))
            case "channels":
                self.messages.append(await _content(request))
        return _response(_MESSAGE)


_APPLICATION = {
    "id": str(APPLICATION),
    "name": "artist",
    "description": "",
    "icon": None,
    "summary": "",
    "bot_public": True,
    "bot_require_code_grant": False,
    "verify_key": "",
    "flags": 0,
    "owner": user(USER, "sam"),
}
_READY = {
    "v": 10,
    "user": user(APPLICATION, "artist"),
    "guilds": [],
    "session_id": "a-session",
    "resume_gateway_url": "ws://127.0.0.1:1",
    "application": {"id": str(APPLICATION), "flags": 0},
}
_MESSAGE = {
    "id": "5",
    "channel_id": str(CHANNEL),
    "author": user(APPLICATION, "artist"),
    "type": 0,
    "content": "",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "edited_timestamp": None,
    "tts": False,
    "mention_everyone": False,
    "pinned": False,
    "mentions": [],
    "mention_roles": [],
    "attachments": [],
    "embeds": [],
}


def _response(body: object, status: int = 200) -> web.Response:
    # discord.py reads JSON only under exactly this content type.
    headers = {"content-type": "application/json"}
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers)


async def _content(request: web.Request) -> tuple[str, dict[str, bytes]]:
    if request.content_type != "multipart/form-data":
        return (await request.json())["content"], {}
    form = await request.post()
    fields = json.loads(form["payload_json"])
    files = {part.filename: part.file.read() for part in form.values() if not isinstance(part, str)}
    return fields["content"], files
