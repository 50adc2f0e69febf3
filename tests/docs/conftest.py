"""Telegram without a network: a double at the seam where python-telegram-bot sends."""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define, field, frozen
from telegram.request import BaseRequest, RequestData

PATIENCE = 300.0
_DATE = 1_790_000_000


@frozen
class Sent:
    """A message as its chat sees it now, and its earlier texts."""

    chat: int
    lines: list[str] = field(factory=list)
    photo: str = ""


@define(eq=False)
class Telegram(BaseRequest):
    """
    Answers as the Bot API does: updates by long polling, and each message a number of its own.

    Attributes:
        messages: What was sent, by its number.
        updates: What the bot has not confirmed yet.
        calls: The methods that were called, in order.
        refuses: Methods that are refused, each with the status and the reason to give.
    """

    messages: dict[int, Sent] = field(factory=dict)
    calls: list[str] = field(factory=list)
    refuses: dict[str, tuple[int, str]] = field(factory=dict)
    updates: list[dict[str, Any]] = field(factory=list)
    _numbers: Any = field(factory=lambda: itertools.count(1))

    @property
    def read_timeout(self) -> float:
        return 5.0

    async def initialize(self) -> None:
        """There is nothing to open."""

    async def shutdown(self) -> None:
        """There is nothing to close."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, **_: object
    ) -> tuple[int, bytes]:
        assert "POST" == method
        name = url.rpartition("/")[2]
        self.calls.append(name)
        # Yield to the loop, as any network client does.
        await asyncio.sleep(0.01)
        if name in self.refuses:
            return _refusal(*self.refuses[name])
        parameters = request_data.parameters if request_data else {}
        return getattr(self, f"_{name}")(parameters)

    def people_say(self, chat: int, text: str, *, edited: bool = False) -> dict[str, Any]:
        """A user writes to the bot; returns the update."""
        number = next(self._numbers)
        command = len(text.split(maxsplit=1)[0])
        message = {
            **_message(next(self._numbers), chat),
            "from": {"id": chat, "is_bot": False, "first_name": "Sam"},
            "text": text,
            "entities": [{"type": "bot_command", "offset": 0, "length": command}],
        }
        update = {"update_id": number, "edited_message" if edited else "message": message}
        self.updates.append(update)
        return update

    def lines(self, chat: int) -> list[str]:
        """All messages of a chat, with all their earlier texts."""
        return [line for sent in self.messages.values() if sent.chat == chat for line in sent.lines]

    def photos(self, chat: int) -> list[str]:
        return [sent.photo for sent in self.messages.values() if sent.chat == chat and sent.photo]

    def _getMe(self, _: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        return _result({"id": 1, "is_bot": True, "first_name": "Artist", "username": "artist_bot"})

    def _deleteWebhook(self, _: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        return _result(True)  # noqa: FBT003

    def _getUpdates(self, parameters: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        offset = parameters.get("offset", 0)
        # A request for what comes after an update confirms that update.
        self.updates = [each for each in self.updates if each["update_id"] >= offset]
        return _result(self.updates)

    def _sendMessage(self, parameters: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        return self._send(Sent(parameters["chat_id"], [parameters["text"]]))

    def _sendPhoto(self, parameters: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        return self._send(Sent(parameters["chat_id"], photo=parameters["photo"]))

    def _send(self, sent: Sent) -> tuple[int, bytes]:
        number = next(self._numbers)
        self.messages[number] = sent
        return _result(_message(number, sent.chat))

    def _editMessageText(self, parameters: Mapping[str, Any]) -> tuple[int, bytes]:  # noqa: N802
        number, chat, text = (parameters[key] for key in ("message_id", "chat_id", "text"))
        sent = self.messages[number]
        assert sent.chat == chat
        if sent.lines[-1] == text:
            return _refusal(400, "Bad Request: message is not modified")
        sent.lines.append(text)
        return _result({**_message(number, chat), "text": text})


def _message(number: int, chat: int) -> dict[str, Any]:
    return {"message_id": number, "date": _DATE, "chat": {"id": chat, "type": "private"}}


def _result(result: object) -> tuple[int, bytes]:
    return _answer(200, ok=True, result=result)


def _refusal(status: int, reason: str) -> tuple[int, bytes]:
    return _answer(status, ok=False, error_code=status, description=reason)


def _answer(status: int, **body: object) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- the program has no event for it.
            await asyncio.sleep(0.02)


@pytest.fixture
def telegram() -> Telegram:
    return Telegram()
