"""What the log says of an outage: the first pause, and then little."""

import json
import logging

import pytest

from modelslab_async import Pace, TransportError
from modelslab_async.emulator import ScriptedReply


def messages(caplog, level=logging.WARNING):
    return [each.getMessage() for each in caplog.records if each.levelno == level]


def test_offline_wait_is_told_once(virtually, world, caplog):
    """One warning has the reason and says for how long the wait goes on."""
    caplog.set_level(logging.WARNING, "modelslab_async")

    async def main():
        async with world() as here:
            here.wire.down = True
            with pytest.raises(TransportError):
                await here.client.wait(here.emulator.add_job("images:1"))

    virtually(main)
    [text] = messages(caplog)
    assert text.startswith("polling modelslab.com pauses for ")
    assert "All connection attempts failed" in text
    assert "a wait goes on for about 4 min (until 10 of its polls failed in a row)" in text
    assert text.endswith("many waits together for 1 h")


def test_long_outage_is_told_every_ten_minutes(virtually, world, caplog):
    """An hour of silence costs six warnings; every pause is in the log at level DEBUG."""
    caplog.set_level(logging.DEBUG, "modelslab_async")

    async def main():
        async with world() as here:
            here.wire.down = True
            await here.client.gather(here.emulator.add_jobs(50, ["images"]))

    virtually(main)
    assert 6 <= len(messages(caplog)) <= 7
    pauses = [each for each in messages(caplog, logging.DEBUG) if each.startswith("polling ")]
    assert len(pauses) > 40


def test_next_outage_is_told_again(virtually, world, caplog):
    """An answer ends the series, and is told at level INFO."""
    caplog.set_level(logging.INFO, "modelslab_async")
    error, running = ScriptedReply(503, b"<html>down</html>"), None

    async def main():
        async with world() as here:
            ticket = here.emulator.add_job("images:1", duration=60.0)
            here.emulator.script(ticket, [error, error, running, *[error] * 10])
            with pytest.raises(Exception, match="503"):
                await here.client.wait(ticket, timeout=3600)

    virtually(main)
    assert 2 == len(messages(caplog))
    assert ["polling modelslab.com goes on: it answers again"] == messages(caplog, logging.INFO)


def test_other_cause_is_told_at_once(virtually, world, caplog):
    """A rate limit after a network error is news, and ends no wait."""
    caplog.set_level(logging.WARNING, "modelslab_async")
    limited = ScriptedReply(
        429, json.dumps({"status": "error", "message": "Rate limit exceeded."}).encode()
    )

    async def main():
        async with world() as here:
            ticket = here.emulator.add_job("images:1", duration=0)
            here.emulator.script(
                ticket, [ScriptedReply(503, b"<html>down</html>"), limited, limited, None]
            )
            await here.client.wait(ticket)

    virtually(main)
    first, second = messages(caplog)
    assert "503" in first
    assert second.endswith("the waits go on after it, because a rate limit ends none")


def test_estimate_of_a_patient_pace_is_bounded(virtually, world, caplog):
    """A pace that allows a million failures costs no million steps, and the outage bounds it."""
    caplog.set_level(logging.WARNING, "modelslab_async")

    async def main():
        async with world(pace=Pace(max_failures=1_000_000, outage=7200.0)) as here:
            here.wire.down = True
            with pytest.raises(TransportError):
                await here.client.wait(here.emulator.add_job("images:1"))

    virtually(main)
    assert "a wait goes on for about 2 h" in messages(caplog)[0]
