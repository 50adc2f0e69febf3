"""The Discord bot of the documentation, run by its library against a server on loopback."""

import asyncio
import signal
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
import pytest
import yarl

from modelslab_async.emulator import Emulator, FileLinks, Jobs, run_server

from .conftest import until
from .discord_server import APPLICATION, CHANNEL, SERVER, USER, Discord, user

_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def snowflake(age: timedelta = timedelta(), serial: int = 0) -> int:
    """An id that Discord would have made some time ago."""
    return (int((datetime.now(UTC) - age - _EPOCH).total_seconds() * 1000) << 22) + serial


_MEMBER = {
    "user": user(USER, "sam"),
    "roles": [],
    "joined_at": "2026-01-01T00:00:00+00:00",
    "deaf": False,
    "mute": False,
    "permissions": "0",
    "flags": 0,
}


def command(prompt: str, **times: Any) -> dict[str, Any]:
    """What Discord's gateway sends when a user gives the command."""
    option = {"name": "prompt", "type": 3, "value": prompt}
    return {
        "id": str(snowflake(**times)),
        "application_id": str(APPLICATION),
        "type": 2,
        "token": "a-token",
        "version": 1,
        "guild_id": str(SERVER),
        "guild": {"id": str(SERVER), "locale": "en-US", "features": []},
        "channel": {"id": str(CHANNEL), "type": 0, "name": "general", "position": 0},
        "channel_id": str(CHANNEL),
        "locale": "en-US",
        "member": _MEMBER,
        "data": {"id": "900", "name": "draw", "type": 1, "options": [option]},
        "entitlements": [],
        "authorizing_integration_owners": {},
        "app_permissions": "0",
        "attachment_size_limit": 10_000_000,
    }


@pytest.fixture
def program(program_of):
    """The names of the page's program."""
    names: dict[str, Any] = {"__name__": "bot"}
    exec(program_of("how-to/discord-bot.md"), names)
    return names


@pytest.fixture
def running(program, monkeypatch, tmp_path):
    """Run the bot against an emulator and Discord, and stop it at the end as Ctrl-C does."""
    monkeypatch.chdir(tmp_path)

    async def run(artist: discord.Client) -> None:
        # The steps of `artist.run`, which makes an event loop of its own.
        async with artist:
            await artist.start("a-bot-token")

    @asynccontextmanager
    async def running(api: Discord, emulator: Emulator):
        async with api.serve() as api_url, run_server(emulator) as base_url:
            gateway = yarl.URL(api_url.replace("http", "ws") + "/gateway")
            monkeypatch.setattr(discord.http.Route, "BASE", api_url)
            monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
            for name, value in (("API_KEY", "a-key"), ("BASE_URL", base_url)):
                monkeypatch.setenv(f"MODELSLAB_{name}", value)
            artist = program["build"](program["Artist"](allow_private=True))
            previous_handler = signal.signal(signal.SIGTERM, artist.handle_sigterm)
            task = asyncio.create_task(run(artist))
            try:
                yield task
            finally:
                signal.signal(signal.SIGTERM, previous_handler)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    return running


def owed() -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("discord_bot.sqlite")) as file:
        return file.execute("SELECT * FROM owed").fetchall()


def done_at_once() -> Emulator:
    return Emulator(jobs=Jobs(duration=(0.0, 0.2)))


async def test_command_is_answered_at_once_and_gets_its_picture(running):
    """The first call after the command is the answer; the picture's bytes follow."""
    api, emulator = Discord(), done_at_once()
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: api.answers)
        await until(lambda: not owed())
    assert ["POST interactions", "POST webhooks"] == api.calls[-2:]
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
    async with running(api, emulator):
        await api.give(command("a lighthouse", age=timedelta(minutes=16)))
        await until(lambda: api.messages)
        await until(lambda: not owed())
    [(text, files)] = api.messages
    assert f"<@{USER}> Done." == text
    assert 1 == len(files)
    assert [] == api.answers


async def test_channel_is_told_if_discord_refuses_the_token(running):
    """The clocks of two machines may differ: a refusal counts like an expired token."""
    api, emulator = Discord(refused={"webhooks"}), done_at_once()
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: api.messages)
    assert [f"<@{USER}> Done."] == [text for text, _ in api.messages]


async def test_owed_picture_is_sent_after_restart(running):
    """Its ticket is stored, the channel gets it, and nothing is submitted again."""
    now = 0.0
    emulator = Emulator(jobs=Jobs(duration=(60.0, 60.0)), clock=lambda: now)
    api = Discord()
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: owed() and owed()[0][-1])
    assert [] == api.answers
    now = 120.0
    async with running(api, emulator):
        await until(lambda: api.messages)
        await until(lambda: not owed())
    assert f"<@{USER}> Done." == api.messages[0][0]
    assert 1 == len(emulator.submits)


async def test_sigterm_closes_the_bot_and_keeps_the_ticket(running):
    """As `docker stop` does. The picture is owed at the next start."""
    api, emulator = Discord(), Emulator(jobs=Jobs(duration=(60.0, 60.0)), clock=lambda: 0.0)
    async with running(api, emulator) as bot:
        await api.give(command("a lighthouse"))
        await until(lambda: owed() and owed()[0][-1])
        signal.raise_signal(signal.SIGTERM)
        await until(bot.done)
    assert 1 == len(owed())
    assert [] == api.answers


async def test_failure_is_told_in_the_words_of_the_service(running):
    """The user learns why, and the bot owes nothing any more."""
    api, emulator = Discord(), Emulator(jobs=Jobs(duration=(0.0, 0.1), failure_rate=1.0))
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: api.answers)
        await until(lambda: not owed())
    assert api.answers[0][0].startswith("It failed. ")


async def test_undelivered_picture_stays_owed(running):
    """If Discord takes it nowhere, the next start tries again."""
    api, emulator = Discord(refused={"webhooks", "channels"}), done_at_once()
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: "POST channels" in api.calls)
        await asyncio.sleep(0)
    assert 1 == len(owed())


async def test_lost_file_is_told(running):
    """A picture that cannot be loaded ends its own command."""
    api = Discord()
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), links=FileLinks(redirects=9))
    async with running(api, emulator):
        await api.give(command("a lighthouse"))
        await until(lambda: api.answers)
    assert "It is done, but I could not get the picture." == api.answers[0][0]


async def test_refused_bot_token_is_the_only_error(running):
    """The bot stops with the error of discord.py, although it never came to draw."""
    api = Discord(refused={"users"})
    with pytest.raises(discord.LoginFailure):
        async with running(api, done_at_once()) as bot:
            await bot


async def test_command_outside_a_channel_starts_nothing(running):
    """The picture would have no place to go after 15 minutes."""
    api, emulator = Discord(), done_at_once()
    async with running(api, emulator):
        given = command("a lighthouse")
        del given["channel"], given["channel_id"]
        await api.give(given)
        await until(lambda: "POST interactions" in api.calls)
    assert [] == owed()
    assert [] == emulator.submits


async def test_bot_overrides_only_hooks_of_its_library(program, monkeypatch, tmp_path):
    """A method or attribute with a name of discord.py would change what the library does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSLAB_API_KEY", "a-key")
    async with program["Artist"]() as artist:
        plain = discord.Client(intents=discord.Intents.none())
        hooks = {name for name in vars(type(artist)) if hasattr(plain, name)}
        assert {"setup_hook", "close"} == {name for name in hooks if not name.startswith("__")}
        own = vars(artist).keys() - vars(plain).keys()
        assert not {name for name in own if hasattr(plain, name)}
