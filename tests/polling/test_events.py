"""Listeners: what on_event gets, and what it may not be."""

import asyncio
import json
from contextvars import ContextVar

import pytest

from modelslab_async import (
    Client,
    Completed,
    Success,
)
from modelslab_async._aio.listeners import call_listener
from modelslab_async.emulator import ScriptedReply

request_id = ContextVar("request_id", default="none")


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


def test_raising_listener_of_the_package_is_named(virtually, world, caplog):
    """The log names a listener such as telemetry, and does not blame the caller's `on_event`."""
    events = []

    class Telemetry:
        def on_event(self, _event):
            raise ZeroDivisionError

    async def main():
        async with world(on_event=events.append) as here:
            here.client.engine.listeners.add(Telemetry().on_event)
            here.emulator.add_job("images:1", duration=3.0)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)
    assert isinstance(events[-1], Completed)
    (message,) = {record.getMessage() for record in caplog.records if record.exc_info}
    assert message.endswith("Telemetry.on_event raised; the client goes on")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_listener_may_end_the_program(error):
    """What ends the whole program is not logged away."""

    def hook(_event):
        raise error

    with pytest.raises(error):
        call_listener(hook, "an event")


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


@pytest.mark.parametrize("method", ["wait", "gather", "watch"])
def test_events_of_a_wait_see_the_context_of_its_caller(virtually, world, method):
    """A listener reads the context variables of the caller, though the poller polls."""
    seen = []

    async def call(client, ticket, value):
        request_id.set(value)
        match method:
            case "wait":
                await client.wait(ticket)
            case "gather":
                await client.gather([ticket])
            case "watch":
                async for _ in client.watch(ticket):
                    pass

    async def main():
        def record(event):
            ticket = event.outcome.ticket if isinstance(event, Completed) else event.ticket
            seen.append((str(ticket), request_id.get()))

        async with world(on_event=record) as here:
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.add_job("images:2", duration=3.0)
            here.emulator.script("images:1", [scripted_reply(500), None])
            calls = (call(here.client, f"images:{n}", f"r-{n}") for n in (1, 2))
            await asyncio.gather(*calls)

    virtually(main)
    assert {("images:1", "r-1"), ("images:2", "r-2")} == set(seen)


def test_context_of_a_ticket_is_that_of_its_longest_wait(virtually, world):
    """Where two callers wait for one ticket, listeners see the context of the first."""
    seen = []

    async def call(client, value):
        request_id.set(value)
        await client.wait("images:1")

    async def main():
        async with world(on_event=lambda _: seen.append(request_id.get())) as here:
            here.emulator.add_job("images:1", duration=3.0)
            await asyncio.gather(call(here.client, "first"), call(here.client, "second"))

    virtually(main)
    assert {"first"} == set(seen)


def test_listener_cannot_change_the_context_of_its_caller(virtually, world):
    """What a listener sets in a context variable is gone after the event."""
    seen = []

    def record(_event):
        seen.append(request_id.get())
        request_id.set("changed")

    async def main():
        request_id.set("mine")
        async with world(on_event=record) as here:
            here.emulator.add_job("images:1", duration=3.0)
            await here.client.wait("images:1")
        assert "mine" == request_id.get()

    virtually(main)
    assert {"mine"} == set(seen)
