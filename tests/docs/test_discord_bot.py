"""The Discord bot of the documentation, run by its library against a server on loopback."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from attrs import Factory, define, field

from modelslab_async.emulator import Emulator, FileLinks, Jobs, run_server

from .conftest import until

APPLICATION, CHANNEL, USER = 11, 22, 33
_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def snowflake(age: timedelta = timedelta(), serial: int = 0) -> int:
    """An id that Discord would have made some time ago."""
    return (int((datetime.now(UTC) - age - _EPOCH).total_seconds() * 1000) << 22) + serial


def user(number: int, name: str) -> dict[str, Any]:
    return {"id": str(number), "username": name, "discriminator": "0", "avatar": None}


@define(eq=False)
class Discord:
    """
    Answers as Discord's HTTP API does.

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

    @asynccontextmanager
    async def serve(self):
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

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


def command(prompt: str, **times: Any) -> dict[str, Any]:
    """What Discord's gateway sends when a user gives the command."""
    option = {"name": "prompt", "type": 3, "value": prompt}
    return {
        "id": str(snowflake(**times)),
        "application_id": str(APPLICATION),
        "type": 2,
        "token": "a-token",
        "version": 1,
        "channel_id": str(CHANNEL),
        "locale": "en-US",
        "user": user(USER, "sam"),
        "data": {"id": "900", "name": "draw", "type": 1, "options": [option]},
        "entitlements": [],
        "authorizing_integration_owners": {},
        "app_permissions": "0",
        "attachment_size_limit": 10_000_000,
    }


@pytest.fixture
def running(program_of, monkeypatch, tmp_path):
    """Start the bot against an emulator and Discord, without a gateway, and stop it at the end."""
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def run(discord_api: Discord, emulator: Emulator):
        program: dict[str, Any] = {"__name__": "bot"}
        exec(program_of("how-to/discord-bot.md"), program)
        async with discord_api.serve() as api_url, run_server(emulator) as base_url:
            monkeypatch.setattr(program["discord"].http.Route, "BASE", api_url)
            for name, value in (("API_KEY", "a-key"), ("BASE_URL", base_url)):
                monkeypatch.setenv(f"MODELSLAB_{name}", value)
            artist = program["build"](program["Artist"](allow_private=True))
            await artist.login("a-bot-token")
            try:
                # The gateway would call this function with each command.
                yield artist._connection.parsers["INTERACTION_CREATE"]
            finally:
                await artist.close()

    return run


def owed() -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("bot.sqlite")) as file:
        return file.execute("SELECT * FROM owed").fetchall()


def done_at_once() -> Emulator:
    return Emulator(jobs=Jobs(duration=(0.0, 0.2)))


async def test_command_is_answered_at_once_and_gets_its_picture(running):
    """The first call after the command is the answer; the picture's bytes follow."""
    api, emulator = Discord(), done_at_once()
    async with running(api, emulator) as give:
        before = len(api.calls)
        give(command("a lighthouse"))
        await until(lambda: api.answers)
        await until(lambda: not owed())
    assert ["POST interactions", "POST webhooks"] == api.calls[before:]
    [(text, files)] = api.answers
    assert "Done." == text
    [(name, data)] = files.items()
    assert name.startswith("realtime-")
    assert len(data) > 100
    assert [] == api.messages
    assert "a lighthouse" == emulator.submits[0].fields["prompt"]


async def test_channel_is_told_once_the_token_has_expired(running):
    """After 15 minutes the command cannot be answered, so the bot mentions the user."""
    api, emulator = Discord(), done_at_once()
    async with running(api, emulator) as give:
        give(command("a lighthouse", age=timedelta(minutes=16)))
        await until(lambda: api.messages)
        await until(lambda: not owed())
    [(text, files)] = api.messages
    assert f"<@{USER}> Done." == text
    assert 1 == len(files)
    assert [] == api.answers


async def test_channel_is_told_if_discord_refuses_the_token(running):
    """The clocks of two machines may differ: a refusal counts like an expired token."""
    api, emulator = Discord(refused={"webhooks"}), done_at_once()
    async with running(api, emulator) as give:
        give(command("a lighthouse"))
        await until(lambda: api.messages)
    assert [f"<@{USER}> Done."] == [text for text, _ in api.messages]


async def test_owed_picture_is_sent_after_restart(running):
    """Its ticket is stored, the channel gets it, and nothing is submitted again."""
    now = 0.0
    emulator = Emulator(jobs=Jobs(duration=(60.0, 60.0)), clock=lambda: now)
    api = Discord()
    async with running(api, emulator) as give:
        give(command("a lighthouse"))
        await until(lambda: owed() and owed()[0][-1])
    assert [] == api.answers
    now = 120.0
    async with running(api, emulator):
        await until(lambda: api.messages)
        await until(lambda: not owed())
    assert f"<@{USER}> Done." == api.messages[0][0]
    assert 1 == len(emulator.submits)


async def test_failure_is_told_in_the_words_of_the_service(running):
    """The user learns why, and the bot owes nothing any more."""
    api, emulator = Discord(), Emulator(jobs=Jobs(duration=(0.0, 0.1), failure_rate=1.0))
    async with running(api, emulator) as give:
        give(command("a lighthouse"))
        await until(lambda: api.answers)
        await until(lambda: not owed())
    assert api.answers[0][0].startswith("It failed. ")


async def test_undelivered_picture_stays_owed(running):
    """If Discord takes it nowhere, the next start tries again."""
    api, emulator = Discord(refused={"webhooks", "channels"}), done_at_once()
    async with running(api, emulator) as give:
        give(command("a lighthouse"))
        await until(lambda: "POST channels" in api.calls)
        await asyncio.sleep(0)
    assert 1 == len(owed())


async def test_lost_file_is_told(running):
    """A picture that cannot be loaded ends its own command."""
    api = Discord()
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), links=FileLinks(redirects=9))
    async with running(api, emulator) as give:
        give(command("a lighthouse"))
        await until(lambda: api.answers)
    assert "It is done, but I could not get the picture." == api.answers[0][0]
