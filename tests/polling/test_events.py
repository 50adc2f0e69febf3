"""Listeners: what on_event gets, and what it may not be."""

import asyncio
import json

import pytest

from modelslab_async import (
    Client,
    Success,
)
from modelslab_async.emulator import ScriptedReply


def scripted_reply(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


async def _heard(_event):
    """A listener that would have to be awaited."""


class _Heard:
    async def __call__(self, _event):
        """Be a listener that would have to be awaited."""


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, BaseException])
def test_raising_listener_is_logged(virtually, world, caplog, error):
    """What `on_event` raises is logged, and the results come, of later calls too."""

    def hook(_event):
        raise error("a defect of the metrics")

    async def main():
        async with world(on_event=hook) as here:
            for ticket in ("images:1", "images:2"):
                here.emulator.add_job(ticket, duration=3.0)
                assert isinstance(await here.client.wait(ticket), Success)

    virtually(main)
    assert "on_event raised" in caplog.text


@pytest.mark.parametrize(
    ("hook", "told"),
    [(_heard, "async def"), (_Heard(), "async def"), (5, "a function or None, got a value of")],
)
def test_async_listener_is_refused(hook, told):
    """An `on_event` that is `async def` would never run, so the client refuses it."""
    with pytest.raises(TypeError, match=told):
        Client("a-key-1234", on_event=hook)


def test_events_tell_polls_failures_pauses_and_outcomes(virtually, world):
    """Polls, failures, pauses and outcomes are reported as they happen."""
    events = []

    async def main():
        async with world(on_event=events.append) as here:
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.script(
                "images:1",
                [scripted_reply(429, message="x", retry_after=7), scripted_reply(500), None],
            )
            await here.client.wait("images:1")
            kinds = [type(event).__name__ for event in events]
            assert ["PollFailed", "Paused", "PollFailed", "Paused", "Polled", "Completed"] == kinds
            assert 7.0 == events[1].seconds
            assert 3 == events[-1].polls

    virtually(main)
