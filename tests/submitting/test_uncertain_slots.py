"""Submits that may have started work: while that may run, no other submit gets their slot."""

import asyncio
import json
from collections import Counter

import pytest

from modelslab_async import Processing, SubmitUncertain, Success, TransportError
from modelslab_async._submitting.uncertain_slots import UncertainSlots

from .conftest import (
    REALTIME,
    Service,
    accept,
    connection_lost,
    json_response,
    lost_after_start,
    queue_full,
)
from .test_slots import prompts


def now():
    return asyncio.get_running_loop().time()


class Account(Service):
    """Its jobs take a time, five may be queued, and some replies are lost."""

    def __init__(self, duration, *, lossy=0):
        super().__init__()
        self.duration, self.lossy, self.ends, self.refused = duration, lossy, {}, 0

    async def exchange(self, request, /):
        await asyncio.sleep(0.01)
        if "/fetch" in request.url:
            is_over = now() >= self.ends[int(request.url.rpartition("/")[2])]
            return json_response(
                status="success" if is_over else "processing", output=["x"] * is_over
            )
        if sum(outcome > now() for outcome in self.ends.values()) >= 5:
            self.refused += 1
            return queue_full()
        id_ = self.start(json.loads(request.body))
        self.ends[id_] = now() + self.duration
        if self.lossy and id_ % self.lossy == 0:
            raise TransportError("the connection broke", may_have_been_sent=True)
        return json_response(status="processing", id=id_, output=[])


@pytest.mark.parametrize("duration", [3.0, 60.0, 110.0])
def test_uncertain_submits_cause_no_429(virtually, duration):
    """However many replies are lost, the queue is never found full."""

    async def main():
        here = Account(duration, lossy=4)
        async with here.client() as client:
            outcomes = [outcome async for _, outcome in client.generate_many(prompts(40))]
        assert 0 == here.refused
        assert 40 == here.starts.total()
        assert {30: Success, 10: SubmitUncertain} == {
            count: kind
            for kind, count in Counter(
                type(getattr(outcome, "cause", outcome)) for outcome in outcomes
            ).items()
        }

    virtually(main)


def test_slot_is_held_two_minutes_without_known_duration(virtually, service):
    """It is unknown how long such work takes, so its slot is held for a fixed time."""

    async def main():
        here = service(connection_lost)
        async with here.client(queue=1) as client:
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a fox")
            await client.submit(REALTIME, prompt="a dog")
        assert [0, 120] == [round(moment) for moment in here.moments]

    virtually(main)


def test_slot_is_held_as_long_as_earlier_work_took(virtually):
    """The last jobs of the endpoint say how long the slot is held."""

    async def main():
        here = Account(20.0, lossy=2)
        async with here.client(queue=1) as client:
            await client.generate(REALTIME, prompt="a fox")
            before = now()
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a dog")
            await client.submit(REALTIME, prompt="a cat")
            assert 20.0 <= now() - before < 25.0

    virtually(main)


@pytest.mark.parametrize("end_comes_by", ["wait", "fetch", "wait after a restart"])
def test_end_that_was_noticed_late_does_not_prolong_the_hold(virtually, end_comes_by):
    """The age of a ticket tells how long its work took only if the client polled it meanwhile."""

    async def main():
        here = Account(20.0, lossy=2)
        async with here.client(queue=1) as former, here.client(queue=1) as latter:
            ticket = (await former.submit(REALTIME, prompt="a fox")).ticket
            await asyncio.sleep(3000.0)
            client = former
            if end_comes_by == "wait after a restart":
                client = latter
                client.engine.submitter.hold_slot(ticket, endpoint=REALTIME, age=3000.0)
            await (client.fetch(ticket) if end_comes_by == "fetch" else client.wait(ticket))
            before = now()
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a dog")
            await client.submit(REALTIME, prompt="a cat")
            assert 120 == round(now() - before)

    virtually(main)


@pytest.mark.parametrize("waits_from", [0.0, 60.0, 200.0])
def test_slot_is_held_as_long_as_work_that_polls_saw_running(virtually, waits_from):
    """A wait that begins while the work runs tells when it ends."""

    async def main():
        here = Account(300.0, lossy=2)
        async with here.client(queue=1) as client:
            ticket = (await client.submit(REALTIME, prompt="a fox")).ticket
            await asyncio.sleep(waits_from)
            await client.wait(ticket)
            before = now()
            with pytest.raises(SubmitUncertain):
                await client.submit(REALTIME, prompt="a dog")
            await client.submit(REALTIME, prompt="a cat")
            assert 300.0 <= now() - before < 330.0

    virtually(main)


def test_other_slots_are_used_meanwhile(virtually, service):
    """An uncertain submit costs one slot, and the others are used."""

    async def main():
        here = service(accept, lost_after_start)
        async with here.client(queue=2) as client:
            outcomes = [outcome async for _, outcome in client.generate_many(prompts(10))]
            assert 9 == sum(isinstance(outcome, Success) for outcome in outcomes)
            assert now() < 120.0

    virtually(main)


def test_cut_off_submit_holds_its_slot_for_a_while(virtually, service):
    """Cancelling every task may cut off a submit that was sent; its slot is held."""

    async def main():
        here = service()
        async with here.client(queue=1) as client:
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


def test_slot_is_held_ten_minutes_at_most():
    """Work that takes hours, and may not exist, holds a slot for ten minutes."""
    uncertain = UncertainSlots()
    uncertain.record_duration("training/lora_fine_tune", 7200.0)
    uncertain.add("training/lora_fine_tune", 50.0)
    assert 650.0 == uncertain.expire(649.0)
    assert 1 == uncertain.count
    assert uncertain.expire(650.0) is None
    assert 0 == uncertain.count


def test_slot_is_held_for_longest_of_last_eight_durations():
    """An earlier duration is forgotten, and another endpoint does not count."""
    uncertain = UncertainSlots()
    for seconds in (90.0, 5.0, 20.0, 5.0):
        uncertain.record_duration("a", seconds)
    uncertain.add("a", 0.0)
    assert 90.0 == uncertain.expire(0.0)
    for _ in range(5):
        uncertain.record_duration("a", 6.0)
    assert 20.0 == uncertain.expire(0.0)
    uncertain.record_duration("b", 1.0)
    uncertain.add("b", 2.0)
    assert 3.0 == uncertain.expire(0.0)
    assert 2 == uncertain.count
