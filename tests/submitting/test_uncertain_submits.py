"""Submits that may have started work: while that may run, no other is sent to its place."""

import asyncio
import json
from collections import Counter

import pytest

from modelslab_async import Processing, SubmitUncertain, Success, TransportError
from modelslab_async._submitting.uncertain_submits import UncertainSubmits

from .conftest import REALTIME, Service, full, lost, lost_after_the_start, said, taken
from .test_slots import prompts


def now():
    return asyncio.get_running_loop().time()


class Account(Service):
    """Its jobs take a time, five may be queued, and every so many an answer is lost."""

    def __init__(self, duration, *, lossy=0):
        super().__init__()
        self.duration, self.lossy, self.ends, self.refused = duration, lossy, {}, 0

    async def exchange(self, request, /):
        await asyncio.sleep(0.01)
        if "/fetch" in request.url:
            is_over = now() >= self.ends[int(request.url.rpartition("/")[2])]
            return said(status="success" if is_over else "processing", output=["x"] * is_over)
        if sum(end > now() for end in self.ends.values()) >= 5:
            self.refused += 1
            return full()
        id_ = self.start(json.loads(request.body))
        self.ends[id_] = now() + self.duration
        if self.lossy and id_ % self.lossy == 0:
            raise TransportError("the connection broke", may_have_been_sent=True)
        return said(status="processing", id=id_, output=[])


@pytest.mark.parametrize("duration", [3.0, 60.0, 110.0])
def test_work_in_doubt_costs_no_429(virtually, duration):
    """However many answers are lost, the queue is never found full."""

    async def main():
        here = Account(duration, lossy=4)
        async with here.client() as client:
            ends = [end async for _, end in client.generate_many(prompts(40))]
        assert 0 == here.refused
        assert 40 == here.starts.total()
        assert {30: Success, 10: SubmitUncertain} == {
            count: kind
            for kind, count in Counter(type(getattr(end, "cause", end)) for end in ends).items()
        }

    virtually(main)


def test_where_nothing_is_known_it_is_two_minutes(virtually, service):
    """Nobody knows how long such work takes, so its place is kept for a fixed time."""

    async def main():
        here = service(lost)
        async with here.client(slots=1) as client:
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a fox")
            await client.submit(REALTIME, prompt="a dog")
        assert [0, 120] == [round(moment) for moment in here.moments]

    virtually(main)


def test_where_work_has_ended_it_is_as_long_as_that_took(virtually):
    """The endpoint's own last jobs say how long the place may be held."""

    async def main():
        here = Account(20.0, lossy=2)
        async with here.client(slots=1) as client:
            await client.generate(REALTIME, prompt="a fox")
            before = now()
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a dog")
            await client.submit(REALTIME, prompt="a cat")
            assert 20.0 <= now() - before < 25.0

    virtually(main)


def test_the_other_places_are_used_meanwhile(virtually, service):
    """A doubt costs one place, not the line."""

    async def main():
        here = service(taken, lost_after_the_start)
        async with here.client(slots=2) as client:
            ends = [end async for _, end in client.generate_many(prompts(10))]
            assert 9 == sum(isinstance(end, Success) for end in ends)
            assert now() < 120.0

    virtually(main)


def test_a_submit_that_is_cut_off_keeps_its_place_for_a_while(virtually, service):
    """Whoever cancels every task may have cut off one that was sent; its place is not lost."""

    async def main():
        here = service()
        async with here.client(slots=1) as client:
            submit = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(0.005)
            (sending,) = [
                task for task in asyncio.all_tasks() if task.get_name() == "modelslab_async submit"
            ]
            sending.cancel()
            await asyncio.wait([submit])
            assert submit.cancelled()
            assert isinstance(await client.submit(REALTIME, prompt="a dog"), Processing)
        assert [120] == [round(moment) for moment in here.moments]

    virtually(main)


def test_long_work_holds_no_place_for_ever():
    """Work that takes hours, and may not be there, holds a place for ten minutes."""
    doubts = UncertainSubmits()
    doubts.record_duration("training/lora_fine_tune", 7200.0)
    doubts.add("training/lora_fine_tune", 50.0)
    assert 650.0 == doubts.expire(649.0)
    assert 1 == doubts.count
    assert doubts.expire(650.0) is None
    assert 0 == doubts.count


def test_it_is_the_longest_of_the_last_eight():
    """What once took long is forgotten, and what another endpoint takes does not count."""
    doubts = UncertainSubmits()
    for seconds in (90.0, 5.0, 20.0, 5.0):
        doubts.record_duration("a", seconds)
    doubts.add("a", 0.0)
    assert 90.0 == doubts.expire(0.0)
    for _ in range(5):
        doubts.record_duration("a", 6.0)
    assert 20.0 == doubts.expire(0.0)
    doubts.record_duration("b", 1.0)
    doubts.add("b", 2.0)
    assert 3.0 == doubts.expire(0.0)
    assert 2 == doubts.count
