"""A caller that leaves a generation after its submit: the log has the ticket of the paid work."""

import asyncio
from contextlib import aclosing

import pytest

from .conftest import REALTIME, Service, accept, finish_at_once, json_response, lost_after_start

ABANDONED = "started, though its caller has gone: "


class Endless(Service):
    """A service whose jobs never end."""

    async def exchange(self, request, /):
        if "/fetch" in request.url:
            return json_response(status="processing", output=[])
        return await super().exchange(request)


def logged_tickets(caplog):
    """Return the tickets that the log names, in order."""
    messages = [record.getMessage() for record in caplog.records]
    return sorted(each.removeprefix(ABANDONED) for each in messages if each.startswith(ABANDONED))


@pytest.mark.parametrize("timeout", [None, 600.0])
def test_generate_cancelled_during_wait_logs_ticket(virtually, caplog, timeout):
    """The ticket is logged once, as if the caller had left during the submit."""

    async def main():
        here = Endless()
        async with here.client() as client:
            generate = client.generate(REALTIME, prompt="a fox", timeout=timeout)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(generate, 60.0)
        assert 1 == here.starts.total()

    virtually(main)
    assert ["realtime:1"] == logged_tickets(caplog)


def test_ticket_that_a_hook_has_received_is_not_logged(virtually, caplog):
    """A program that stores its tickets in `on_submitted` has them already."""
    stored = []

    async def main():
        here = Endless()
        async with here.client(on_submitted=lambda news: stored.append(str(news.ticket))) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.generate(REALTIME, prompt="a fox"), 60.0)
            requests = [(REALTIME, {"prompt": str(n)}) for n in range(3)]
            async with aclosing(client.generate_many(requests)) as pairs:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(pairs), 60.0)

    virtually(main)
    assert [f"realtime:{n}" for n in range(1, 5)] == stored
    assert "" == caplog.text


def test_generate_that_ends_logs_nothing(virtually, caplog):
    """A caller that gets its result or its error knows the ticket."""

    async def main():
        async with Service().client() as client:
            await client.generate(REALTIME, prompt="a fox")
        async with Endless().client() as client:
            with pytest.raises(TimeoutError):
                await client.generate(REALTIME, prompt="a fox", timeout=60.0)

    virtually(main)
    assert "" == caplog.text


@pytest.mark.parametrize("leaves_by", ["break", "cancel"])
def test_generate_many_left_logs_each_open_ticket(virtually, caplog, leaves_by):
    """The tickets that no caller has received are logged, and no others."""

    async def consume(client):
        requests = [(REALTIME, {"prompt": str(n)}) for n in range(4)]
        async with aclosing(client.generate_many(requests)) as pairs:
            async for _ in pairs:
                if leaves_by == "break":
                    await asyncio.sleep(30.0)
                    break
                await asyncio.Event().wait()

    async def main():
        here = Endless(finish_at_once)
        async with here.client() as client:
            consuming = asyncio.create_task(consume(client))
            await asyncio.wait([consuming], timeout=60.0)
            consuming.cancel()
            await asyncio.wait([consuming])
        assert 4 == here.starts.total()

    virtually(main)
    assert ["realtime:2", "realtime:3", "realtime:4"] == logged_tickets(caplog)


def test_generate_many_left_logs_results_that_nobody_received(virtually, caplog):
    """A result that was ready, and an uncertain submit, are logged as well."""

    async def main():
        here = Endless(finish_at_once, finish_at_once, lost_after_start, accept)
        async with here.client() as client:
            requests = [(REALTIME, {"prompt": str(n)}) for n in range(4)]
            async with aclosing(client.generate_many(requests)) as pairs:
                async for _ in pairs:
                    await asyncio.sleep(60.0)
                    break
        assert 4 == here.starts.total()

    virtually(main)
    assert ["realtime:2", "realtime:4"] == logged_tickets(caplog)
    assert 1 == caplog.text.count("its caller has gone: realtime/text2img (track_id")
