"""Identical payloads: once the spam filter has answered they go one at a time, 30 seconds apart."""

import asyncio
import json
import random
from itertools import pairwise

import pytest

from modelslab_async import (
    AuthenticationError,
    ClientClosed,
    Pace,
    Processing,
    RateLimited,
    Success,
)
from modelslab_async._submitting.submit_log import CallbackFailure, SubmitLog
from modelslab_async.emulator import Jobs

from .conftest import REALTIME, Service, said, spam


def now():
    return asyncio.get_running_loop().time()


class Filter(Service):
    """Takes the same prompt once in so many seconds, and answers each submit in its own time."""

    def __init__(self, delays=lambda _: (0.01, 0.01), window=30.0):
        super().__init__()
        self.delays, self.window = delays, window
        self.last, self.log = {}, []

    async def exchange(self, request, /):
        if "/fetch" in request.url:
            return await super().exchange(request)
        fields, sent = json.loads(request.body), now()
        there, back = self.delays(len(self.submits))
        self.submits.append(fields)
        await asyncio.sleep(there)
        is_taken = now() - self.last.get(fields["prompt"], -1e9) >= self.window
        if is_taken:
            self.last[fields["prompt"]] = now()
            response = said(status="processing", id=self.start(fields), output=[])
        else:
            response = spam()
        await asyncio.sleep(back)
        self.log.append((sent, now(), is_taken))
        return response

    @property
    def refusals(self):
        return [(sent, heard) for sent, heard, is_taken in self.log if not is_taken]


def jittered(_):
    return random.uniform(0.02, 0.4), random.uniform(0.02, 0.4)


@pytest.mark.parametrize(("count", "slots"), [(3, 5), (12, 5), (15, None), (40, 3)])
def test_only_what_was_on_its_way_is_refused(virtually, count, slots):
    """After the first refusal was heard none of the same payload is refused, and none is lost."""

    async def main():
        here = Filter(jittered)
        async with here.client(slots=slots) as client:
            same = (client.generate(REALTIME, prompt="a fox") for _ in range(count))
            ends = await asyncio.gather(*same, return_exceptions=True)
        assert {Success} == set(map(type, ends))
        first = min(heard for _, heard in here.refusals)
        assert max(sent for sent, _ in here.refusals) <= first
        taken = sorted(sent for sent, _, is_taken in here.log if is_taken)
        assert 30.0 * (count - 1) <= taken[-1] < 31.0 * count

    virtually(main)


def test_refusals_that_come_one_after_another(virtually):
    """Each takes a turn of its own, whenever it was refused."""

    async def main():
        here = Filter(lambda number: (0.01, 0.05 * number))
        async with here.client() as client:
            await asyncio.gather(*(client.submit(REALTIME, prompt="a fox") for _ in range(5)))
        sent = [sent for sent, _, is_taken in here.log if is_taken]
        assert all(later - earlier >= 30.0 for earlier, later in pairwise(sent))
        assert 5 == len(sent)
        assert 4 == len(here.refusals)

    virtually(main)


def test_one_that_is_taken_late_counts_as_well(virtually):
    """A submit that is answered long after the refusals of the others holds the next one back."""

    async def main():
        # The first is answered at once; the second is taken, and its answer takes its time.
        here = Filter(lambda number: (0.0, 20.0) if number == 1 else (0.01, 0.01), window=0.0)
        async with here.client() as client:
            await client.submit(REALTIME, prompt="a dog")
            here.window = 30.0
            await asyncio.gather(*(client.submit(REALTIME, prompt="a fox") for _ in range(3)))
        sent = [sent for sent, _, is_taken in here.log if is_taken]
        assert 4 == len(sent)
        assert sorted(sent)[2] >= 50.0

    virtually(main)


def test_other_payloads_are_not_held_up(virtually):
    """Those who wait for their turn take no place, and no place of others."""

    async def main():
        here = Filter()
        async with here.client(slots=2) as client:
            same = [
                asyncio.create_task(client.generate(REALTIME, prompt="a fox")) for _ in range(6)
            ]
            others = [
                asyncio.create_task(client.generate(REALTIME, prompt=f"dog {number}"))
                for number in range(10)
            ]
            await asyncio.gather(*others)
            assert now() < 25.0
            await asyncio.gather(*same)
            assert now() > 5 * 30.0

    virtually(main)


def test_the_turns_are_in_the_order_of_coming(virtually):
    """Whoever came first is taken first, also after it was refused."""

    async def main():
        here = Filter(lambda number: (0.01, 0.5 if number == 1 else 0.1))
        async with here.client() as client:
            same = [client.submit(REALTIME, prompt="a fox", track_id=number) for number in range(6)]
            await asyncio.gather(*same)
        assert list("012345") == list(here.starts)

    virtually(main)


def test_a_filter_of_others_has_the_last_word(virtually):
    """A payload that others send all the time is given up after the pace's budget."""

    async def main():
        here = Filter()
        async with here.client(pace=Pace(max_failures=3)) as client:
            here.last["a fox"] = 1e9
            with pytest.raises(RateLimited):
                await client.submit(REALTIME, prompt="a fox")
        assert [0, 30, 60] == [round(sent) for sent, _ in here.refusals]

    virtually(main)


def test_what_the_filter_has_forgotten_is_not_held(virtually):
    """Half a minute after the last of them, the same payload goes at once."""

    async def main():
        here = Filter()
        async with here.client() as client:
            await asyncio.gather(*(client.submit(REALTIME, prompt="a fox") for _ in range(2)))
            await asyncio.sleep(40.0)
            before = now()
            await client.submit(REALTIME, prompt="a fox")
            assert now() < before + 1.0

    virtually(main)


def test_closing_sends_away_those_who_wait_for_their_turn(virtually):
    """They hear at once that the client was closed, and nothing more is sent."""

    async def main():
        here = Filter()
        client = here.client()
        same = [asyncio.create_task(client.submit(REALTIME, prompt="a fox")) for _ in range(4)]
        await asyncio.sleep(1.0)
        await client.aclose()
        ends = await asyncio.gather(*same, return_exceptions=True)
        assert [Processing, *[ClientClosed] * 3] == list(map(type, ends))
        assert 1.0 == now()
        assert 4 == len(here.submits)

    virtually(main)


def test_a_refused_key_sends_away_those_who_wait_for_their_turn(virtually):
    """They hear what the one that was refused heard, and are not sent."""

    async def main():
        here = Filter()
        exchange = here.exchange

        async def refuse(request):
            if b"a dog" in request.body:
                return said(401, status="error", message="Invalid API key")
            return await exchange(request)

        here.exchange = refuse
        async with here.client() as client:
            same = [asyncio.create_task(client.submit(REALTIME, prompt="a fox")) for _ in range(4)]
            await asyncio.sleep(1.0)
            with pytest.raises(AuthenticationError):
                await client.submit(REALTIME, prompt="a dog")
            ends = await asyncio.gather(*same, return_exceptions=True)
            assert [Processing, *[AuthenticationError] * 3] == list(map(type, ends))
            assert now() < 2.0
        assert 4 == len(here.submits)

    virtually(main)


def test_who_goes_away_holds_no_turn(virtually):
    """A turn that its owner leaves, in line or as it waits for a place, is the next one's."""

    class Endless(Filter):
        async def exchange(self, request, /):
            if "/fetch" in request.url:
                return said(status="processing" if now() < 100.0 else "success", output=["x"])
            return await super().exchange(request)

    async def main():
        here = Endless()
        async with here.client(slots=2) as client:
            same = [
                asyncio.create_task(client.submit(REALTIME, prompt="a fox", track_id=number))
                for number in range(5)
            ]
            await asyncio.sleep(5.0)
            await client.submit(REALTIME, prompt="a dog")
            # Both places are taken, and will be for a while: the second waits for one in its turn.
            same[2].cancel()
            await asyncio.sleep(45.0)
            same[1].cancel()
            await asyncio.wait(same)
            assert [False, True, True, False, False] == [task.cancelled() for task in same]
        foxes = [mark for mark in here.starts if len(mark) == 1]
        assert ["0", "3", "4"] == foxes

    virtually(main)


def test_a_hook_may_submit_the_same_again(virtually):
    """Whoever hears of a submit may start its like: the turn is over once there was an answer."""

    async def again(news):
        if news.track_id == "1":
            await clients[0].submit(REALTIME, prompt="a fox", track_id=2)

    clients = []

    async def main():
        here = Filter()
        async with here.client(on_submitted=again) as client:
            clients.append(client)
            same = [client.submit(REALTIME, prompt="a fox", track_id=number) for number in range(2)]
            await asyncio.gather(*same)
        assert ["0", "1", "2"] == list(here.starts)

    virtually(main)


def test_a_turn_that_is_not_used_is_the_next_ones(virtually):
    """A submit that could not be written down is not sent, and holds nobody up."""

    class Torn(SubmitLog):
        async def begin(self, order):
            if order.track_id == "1" and here[0].refusals:
                raise OSError("the disk is full")

    here = []

    async def main():
        here.append(Filter())
        async with here[0].client() as client:
            orders = [
                await client.engine.prepare(REALTIME, {"prompt": "a fox", "track_id": number})
                for number in range(3)
            ]
            ends = await asyncio.gather(
                *(client.engine.submitter.submit(order, Torn()) for order in orders),
                return_exceptions=True,
            )
        assert [Processing, CallbackFailure, Processing] == list(map(type, ends))
        assert isinstance(ends[1].error, OSError)
        assert now() < 31.0

    virtually(main)


def test_a_turn_whose_file_is_refused_is_the_next_ones(virtually):
    """A submit whose upload fails in its turn is not sent, and holds nobody up."""

    class Uploading(Filter):
        uploads = 0

        async def exchange(self, request, /):
            if "base64_to_url" not in request.url:
                return await super().exchange(request)
            self.uploads += 1
            if self.uploads == 3:
                return said(400, status="error", message="no such file")
            return said(status="success", output=["https://x.example/house.png"])

    async def main():
        here = Uploading()
        house = b"\x89PNG\r\n\x1a\n and so on"
        async with here.client() as client:

            def fox():
                submit = client.submit("realtime/img2img", prompt="a fox", init_image=house)
                return asyncio.create_task(submit)

            same = [fox(), fox()]
            await asyncio.sleep(1.0)
            same += [fox(), fox()]
            ends = await asyncio.gather(*same, return_exceptions=True)
        assert [True, True, False, True] == [isinstance(end, Processing) for end in ends]

    virtually(main)


def test_a_turn_that_comes_as_its_owner_goes_is_the_next_ones(virtually):
    """Who is cancelled in the moment in which the turn comes passes it on."""

    async def main():
        here = Filter()
        async with here.client() as client:
            same = [asyncio.create_task(client.submit(REALTIME, prompt="a fox")) for _ in range(3)]
            await asyncio.sleep(1.0)
            (row,) = client.engine.submitter.slots["standard"].duplicates._queues.values()
            asyncio.get_running_loop().call_at(row.next_send_at, same[1].cancel)
            await asyncio.wait(same)
            assert [False, True, False] == [task.cancelled() for task in same]
        assert 2 == here.starts.total()

    virtually(main)


def test_the_filter_of_the_emulator_meets_the_client(virtually, world):
    """What the client sends again as the same work is the same to the emulator's filter."""

    async def main():
        emulated = {"spam_window": 30.0, "jobs": Jobs(duration=(1.0, 2.0))}
        async with world(latency=0.2, emulated=emulated) as here:
            same = [
                here.client.generate(REALTIME, prompt="a fox", webhook=f"https://me.example/{n}")
                for n in range(6)
            ]
            ends = await asyncio.gather(*same)
            assert {Success} == set(map(type, ends))
            submits = here.emulator.submits
            assert 6 == len({each.ticket for each in submits if each.ticket})
            assert 4 == sum(each.ticket is None for each in submits)
            assert 150.0 <= now() < 160.0

    virtually(main)
