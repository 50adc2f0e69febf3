"""Deliveries about one ticket, with `on_reply`: they share a fetch that has not started yet."""

import asyncio

import pytest

from modelslab_async import Pace, Success, webhooks
from modelslab_async.emulator import ScriptedReply

from .test_webhook_replies import BASE, Replies, delivered

FLOOR_S = 2.0


async def settle():
    """Let every task run until it waits for a timer."""
    for _ in range(50):
        await asyncio.sleep(0)


class Deliveries:
    """Sends deliveries about the finished ticket `realtime:7`."""

    def __init__(self, here, on_reply):
        self.here = here
        here.emulator.add_job("realtime:7", duration=0)
        self.app = webhooks.receiver(here.client, on_reply=on_reply)
        self.url = here.client.webhook_url(BASE, family="realtime")

    async def begin(self, ticket_id="7"):
        """Start a delivery, and return its task once the delivery waits for a timer."""
        task = asyncio.create_task(delivered(self.app, self.url, id=ticket_id))
        await settle()
        return task

    async def finish(self, ticket_id="7"):
        """Send a delivery, and return the status code of its answer."""
        return await (await self.begin(ticket_id))


def test_delivery_outlives_cancelled_earlier_one_and_calls_on_reply(virtually, world):
    """The server cancels the delivery that began the fetch: the later one still gets its reply."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, replies)
            assert 200 == await deliveries.finish()
            earlier = await deliveries.begin()
            later = await deliveries.begin()
            earlier.cancel()
            assert 200 == await later
            assert earlier.cancelled()
            assert [Success, Success] == [type(reply) for reply in replies]
            assert 2 == len(here.wire.requests)

    virtually(main)


def test_later_delivery_is_answered_after_the_shared_on_reply(virtually, world):
    """No delivery gets its 200 before `on_reply` has the reply that the delivery announces."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, replies)
            assert 200 == await deliveries.finish()
            earlier, later = await deliveries.begin(), await deliveries.begin()
            assert (1, False) == (len(replies), later.done())
            assert [200, 200] == await asyncio.gather(earlier, later)
            assert (2, 2) == (len(replies), len(here.wire.requests))

    virtually(main)


def test_failed_shared_fetch_asks_for_every_delivery_again(virtually, world):
    """If the poll fails, each delivery that shares it gets a 503."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, replies)
            script = [None, ScriptedReply(502, b"bad gateway", {}), None]
            here.emulator.script("realtime:7", script)
            assert 200 == await deliveries.finish()
            earlier, later = await deliveries.begin(), await deliveries.begin()
            assert [503, 503] == await asyncio.gather(earlier, later)
            assert 1 == len(replies)

    virtually(main)


def test_raising_on_reply_answers_500_to_every_delivery_that_shared_it(virtually, world, caplog):
    """Each delivery is told that its reply was not taken, and the error is logged once."""
    calls = []

    async def store(reply):
        calls.append(reply)
        if len(calls) == 2:
            raise ZeroDivisionError

    async def main():
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, store)
            assert 200 == await deliveries.finish()
            earlier, later = await deliveries.begin(), await deliveries.begin()
            assert [500, 500] == await asyncio.gather(earlier, later)

    virtually(main)
    assert 1 == caplog.text.count("on_reply raised for realtime:7")


def test_fetch_ends_when_the_last_delivery_is_cancelled(virtually, world):
    """Without a delivery to answer, nothing is fetched; the next delivery begins anew."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, replies)
            assert 200 == await deliveries.finish()
            abandoned = [await deliveries.begin(), await deliveries.begin()]
            for task in abandoned:
                task.cancel()
            await asyncio.wait(abandoned)
            await asyncio.sleep(2 * FLOOR_S)
            assert (1, 1) == (len(replies), len(here.wire.requests))
            assert 200 == await deliveries.finish()
            assert 2 == len(replies)

    virtually(main)


def test_cancelled_delivery_ends_after_its_on_reply_has_cleaned_up(virtually, world):
    """A program may close what `on_reply` uses as soon as the receiver has returned."""
    steps = []

    async def store(_reply):
        steps.append("running")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.0)
            steps.append("cleaned up")

    async def main():
        async with world() as here:
            delivery = await Deliveries(here, store).begin()
            assert ["running"] == steps
            delivery.cancel()
            await asyncio.wait((delivery,))
            assert delivery.cancelled()
            assert ["running", "cleaned up"] == steps

    virtually(main)


def test_delivery_during_a_fetch_causes_another_fetch(virtually, world):
    """The reply to a fetch that has started may be older than what the delivery announces."""

    async def main():
        replies = Replies()
        async with world(pace=Pace(floor=FLOOR_S), latency=1.0) as here:
            deliveries = Deliveries(here, replies)
            earlier = await deliveries.begin()
            assert 1 == len(here.wire.requests)
            later = await deliveries.begin()
            assert [200, 200] == await asyncio.gather(earlier, later)
            assert (2, 2) == (len(replies), len(here.wire.requests))
            first, second = here.wire.moments
            assert second - first == pytest.approx(FLOOR_S)

    virtually(main)


def test_fetches_in_progress_are_bounded_and_not_their_deliveries(virtually, world):
    """The 33rd ticket gets 503. A repeated delivery needs no fetch of its own, so it gets 200."""

    async def main():
        async with world(pace=Pace(floor=FLOOR_S)) as here:
            deliveries = Deliveries(here, Replies())
            ids = [str(number) for number in range(101, 134)]
            for ticket_id in ids:
                here.emulator.add_job(f"realtime:{ticket_id}", duration=0)
                assert 200 == await deliveries.finish(ticket_id)
            posts = [await deliveries.begin(ticket_id) for ticket_id in ids]
            repeated = [await deliveries.begin(ids[0]) for _ in range(40)]
            assert 32 * [200] + [503] == await asyncio.gather(*posts)
            assert 40 * [200] == await asyncio.gather(*repeated)
            assert 33 + 32 == len(here.wire.requests)

    virtually(main)
