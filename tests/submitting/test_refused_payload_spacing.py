"""Equal payloads: once the spam filter has answered, they go one at a time, 30 seconds apart."""

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
    Submission,
    Success,
)
from modelslab_async._submitting.submit_recorder import CallbackFailure, SubmitRecorder
from modelslab_async.emulator import Jobs

from .conftest import REALTIME, Service, json_response, spam


def now():
    return asyncio.get_running_loop().time()


class Filter(Service):
    """Takes the same prompt once in so many seconds, and answers each submit after a time."""

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
            response = json_response(status="processing", id=self.start(fields), output=[])
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
def test_only_submits_in_flight_are_refused(virtually, count, slots):
    """After the first refusal none of the same payload is refused, and none is lost."""

    async def main():
        here = Filter(jittered)
        async with here.client(queue=slots) as client:
            same = (client.generate(REALTIME, prompt="a fox") for _ in range(count))
            outcomes = await asyncio.gather(*same, return_exceptions=True)
        assert {Success} == set(map(type, outcomes))
        first = min(heard for _, heard in here.refusals)
        assert max(sent for sent, _ in here.refusals) <= first
        taken = sorted(sent for sent, _, is_taken in here.log if is_taken)
        assert 30.0 * (count - 1) <= taken[-1] < 31.0 * count

    virtually(main)


def test_each_refused_submit_is_sent_again_alone(virtually):
    """Each refused submit is sent again alone, whenever it was refused."""

    async def main():
        here = Filter(lambda number: (0.01, 0.05 * number))
        async with here.client() as client:
            await asyncio.gather(*(client.submit(REALTIME, prompt="a fox") for _ in range(5)))
        sent = [sent for sent, _, is_taken in here.log if is_taken]
        assert all(later - earlier >= 30.0 for earlier, later in pairwise(sent))
        assert 5 == len(sent)
        assert 4 == len(here.refusals)

    virtually(main)


def test_late_reply_delays_next_submit(virtually):
    """A submit that is answered long after the refusals of the others delays the next one."""

    async def main():
        # The first is answered at once; the second is accepted, and its reply comes later.
        here = Filter(lambda number: (0.0, 20.0) if number == 1 else (0.01, 0.01), window=0.0)
        async with here.client() as client:
            await client.submit(REALTIME, prompt="a dog")
            here.window = 30.0
            await asyncio.gather(*(client.submit(REALTIME, prompt="a fox") for _ in range(3)))
        sent = [sent for sent, _, is_taken in here.log if is_taken]
        assert 4 == len(sent)
        assert sorted(sent)[2] >= 50.0

    virtually(main)


def test_other_payloads_are_not_delayed(virtually):
    """Submits that the filter holds back take no slot."""

    async def main():
        here = Filter()
        async with here.client(queue=2) as client:
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


def test_equal_payloads_keep_their_order(virtually):
    """The earliest submit is sent first, also after it was refused."""

    async def main():
        here = Filter(lambda number: (0.01, 0.5 if number == 1 else 0.1))
        async with here.client() as client:
            same = [client.submit(REALTIME, prompt="a fox", track_id=number) for number in range(6)]
            await asyncio.gather(*same)
        assert list("012345") == list(here.starts)

    virtually(main)


def test_payload_that_filter_keeps_refusing_is_given_up(virtually):
    """A payload that other programs keep sending is given up after the pace's budget."""

    async def main():
        here = Filter()
        async with here.client(pace=Pace(max_failures=3)) as client:
            here.last["a fox"] = 1e9
            with pytest.raises(RateLimited):
                await client.submit(REALTIME, prompt="a fox")
        assert [0, 30, 60] == [round(sent) for sent, _ in here.refusals]

    virtually(main)


def test_payload_goes_freely_after_interval(virtually):
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


def test_close_rejects_held_back_submits(virtually):
    """They end at once with a `ClientClosed`, and nothing more is sent."""

    async def main():
        here = Filter()
        client = here.client()
        same = [asyncio.create_task(client.submit(REALTIME, prompt="a fox")) for _ in range(4)]
        await asyncio.sleep(1.0)
        await client.aclose()
        outcomes = await asyncio.gather(*same, return_exceptions=True)
        assert [Processing, *[ClientClosed] * 3] == list(map(type, outcomes))
        assert 1.0 == now()
        assert 4 == len(here.submits)

    virtually(main)


def test_close_ends_submit_in_flight_that_filter_refuses(virtually):
    """It ends with a `ClientClosed` as soon as the refusal comes, and is not sent again."""

    async def main():
        here = Filter()
        here.last["a fox"] = now()  # Another program has just sent the same.
        client = here.client()
        submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
        await asyncio.sleep(0.005)
        await client.aclose()
        with pytest.raises(ClientClosed, match="nothing was started"):
            await submitting
        assert now() < 1.0
        assert 1 == len(here.submits)

    virtually(main)


def test_refused_key_rejects_held_back_submits(virtually):
    """They get the error of the submit that was refused, and are not sent."""

    async def main():
        here = Filter()
        exchange = here.exchange

        async def refuse(request):
            if b"a dog" in request.body:
                return json_response(401, status="error", message="Invalid API key")
            return await exchange(request)

        here.exchange = refuse
        async with here.client() as client:
            same = [asyncio.create_task(client.submit(REALTIME, prompt="a fox")) for _ in range(4)]
            await asyncio.sleep(1.0)
            with pytest.raises(AuthenticationError):
                await client.submit(REALTIME, prompt="a dog")
            outcomes = await asyncio.gather(*same, return_exceptions=True)
            assert [Processing, *[AuthenticationError] * 3] == list(map(type, outcomes))
            assert now() < 2.0
        assert 4 == len(here.submits)

    virtually(main)


def test_cancelled_submit_lets_next_go(virtually):
    """A cancelled submit lets the next one go, whether it waited for the filter or for a slot."""

    class Endless(Filter):
        async def exchange(self, request, /):
            if "/fetch" in request.url:
                return json_response(
                    status="processing" if now() < 100.0 else "success", output=["x"]
                )
            return await super().exchange(request)

    async def main():
        here = Endless()
        async with here.client(queue=2) as client:
            same = [
                asyncio.create_task(client.submit(REALTIME, prompt="a fox", track_id=number))
                for number in range(5)
            ]
            await asyncio.sleep(5.0)
            await client.submit(REALTIME, prompt="a dog")
            # Both slots are taken for a while: the second submit was admitted and waits for one.
            same[2].cancel()
            await asyncio.sleep(45.0)
            same[1].cancel()
            await asyncio.wait(same)
            assert [False, True, True, False, False] == [task.cancelled() for task in same]
        foxes = [mark for mark in here.starts if len(mark) == 1]
        assert ["0", "3", "4"] == foxes

    virtually(main)


def test_hook_may_submit_equal_payload(virtually):
    """`on_submitted` may submit the same payload: the submit is over once it has a reply."""

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


def test_unrecorded_submit_lets_next_go(virtually):
    """A submit that could not be recorded is not sent, and delays no other."""

    class Torn(SubmitRecorder):
        async def begin(self, submit_request):
            if submit_request.track_id == "1" and here[0].refusals:
                raise OSError("the disk is full")

    here = []

    async def main():
        here.append(Filter())
        async with here[0].client() as client:
            submit_requests = [
                await client.engine.prepare(
                    Submission(REALTIME, {"prompt": "a fox", "track_id": number})
                )
                for number in range(3)
            ]
            outcomes = await asyncio.gather(
                *(
                    client.engine.submitter.submit(submit_request, Torn())
                    for submit_request in submit_requests
                ),
                return_exceptions=True,
            )
        assert [Processing, CallbackFailure, Processing] == list(map(type, outcomes))
        assert isinstance(outcomes[1].error, OSError)
        assert now() < 31.0

    virtually(main)


def test_failed_upload_lets_next_go(virtually):
    """A submit whose upload fails is not sent, and delays no other."""

    class Uploading(Filter):
        uploads = 0

        async def exchange(self, request, /):
            if "base64_to_url" not in request.url:
                return await super().exchange(request)
            self.uploads += 1
            if self.uploads == 3:
                return json_response(400, status="error", message="no such file")
            return json_response(status="success", output=["https://x.example/house.png"])

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
            outcomes = await asyncio.gather(*same, return_exceptions=True)
        assert [True, True, False, True] == [
            isinstance(outcome, Processing) for outcome in outcomes
        ]

    virtually(main)


def test_submit_cancelled_as_it_is_admitted_lets_next_go(virtually):
    """A submit that is cancelled in the moment of its admission lets the next one go."""

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


def test_emulators_filter_sees_equal_payloads(virtually, world):
    """What the client counts as equal payloads is equal to the filter of the emulator."""

    async def main():
        emulated = {"spam_window": 30.0, "jobs": Jobs(duration=(1.0, 2.0))}
        async with world(latency=0.2, emulated=emulated) as here:
            same = [
                here.client.generate(REALTIME, prompt="a fox", webhook=f"https://me.example/{n}")
                for n in range(6)
            ]
            outcomes = await asyncio.gather(*same)
            assert {Success} == set(map(type, outcomes))
            submits = here.emulator.submits
            assert 6 == len({each.ticket for each in submits if each.ticket})
            assert 4 == sum(each.ticket is None for each in submits)
            assert 150.0 <= now() < 160.0

    virtually(main)
