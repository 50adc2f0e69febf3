"""The places of an account: how many are queued at once, who comes next, and what a 429 changes."""

import asyncio
import heapq
import json
from collections import Counter
from contextlib import suppress

import pytest

from modelslab_async import (
    AuthenticationError,
    Client,
    Completed,
    Failed,
    GenerationFailed,
    PaymentRequired,
    SubmitUncertain,
    Success,
    TransportError,
    Unresolved,
    Unsubmitted,
    WaitTimeout,
)
from modelslab_async._submitting.slots import Slots
from modelslab_async.emulator import Jobs

from .conftest import REALTIME, Service, done, full, lost, said, taken


def prompts(count):
    return [(REALTIME, {"prompt": f"a fox, number {number}"}) for number in range(count)]


def best(durations, places):
    """When the last one starts where every end is known at once."""
    free = [0.0] * places
    for duration in durations[:-1]:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return free[0]


SHAPES = {
    "even": lambda dice: dice.uniform(8.0, 16.0),
    "lognormal": lambda dice: dice.lognormvariate(2.5, 0.6),
    "two humps": lambda dice: dice.choice((5.0, 90.0)),
}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shape", "eta", "count"),
    [("even", "honest", 500), ("lognormal", "pessimistic", 100), ("two humps", "none", 100)],
)
def test_many_go_through_five_places(virtually, world, shape, eta, count):
    """No submit is refused for a full queue, and the places stand empty for 3 % of the time."""
    drawn = []

    def duration(dice):
        drawn.append(SHAPES[shape](dice))
        return drawn[-1]

    async def main():
        emulated = {"jobs": Jobs(duration=duration, eta=eta), "queue_limit": 5}
        async with world(latency=0.02, emulated=emulated) as here:
            ends = [end async for _, end in here.client.generate_many(prompts(count))]
        assert {Success: count} == Counter(map(type, ends))
        starts = [
            moment
            for moment, request in zip(here.wire.moments, here.wire.requests, strict=True)
            if request.url.path.endswith("text2img")
        ]
        assert count == len(starts)
        assert best(drawn, 5) >= 0.97 * starts[-1]

    virtually(main)


@pytest.mark.parametrize(
    ("seconds", "eta", "learning"),
    [
        (1.0, "none", 0.0),
        (2.0, "pessimistic", 20.0),
        (6.0, "honest", 0.0),
        (21.0, "none", 0.0),
        (21.0, "pessimistic", 20.0),
    ],
)
def test_how_long_a_place_stands_empty(virtually, world, seconds, eta, learning):
    """A quarter of a second or 4 % of a job, and two round trips; etas that lie cost 20 s once."""
    drawn, latency = [], 0.02

    def duration(dice):
        drawn.append(dice.uniform(0.9, 1.1) * seconds)
        return drawn[-1]

    async def main():
        emulated = {"jobs": Jobs(duration=duration, eta=eta), "queue_limit": 5}
        async with world(latency=latency, emulated=emulated) as here:
            async for _ in here.client.generate_many(prompts(100)):
                pass
        starts = [
            moment
            for moment, request in zip(here.wire.moments, here.wire.requests, strict=True)
            if request.url.path.endswith("text2img")
        ]
        late = [took + max(0.25, 0.04 * took) + 2 * latency + 0.01 for took in drawn]
        assert 100 == len(starts)
        assert starts[-1] <= best(late, 5) + latency + learning
        assert starts[-1] > best(drawn, 5)

    virtually(main)


@pytest.mark.parametrize("refusal", [401, 402])
def test_a_refused_key_costs_one_submit(virtually, service, refusal):
    """However many have a place, one goes first; the others hear what it heard."""

    async def main():
        here = service(*[lambda *_: said(refusal, status="error", message="no")] * 20)
        async with here.client(slots=5) as client:
            tries = [client.submit(REALTIME, prompt=str(number)) for number in range(8)]
            ends = await asyncio.gather(*tries, return_exceptions=True)
        assert 1 == len(here.submits)
        assert {AuthenticationError if refusal == 401 else PaymentRequired} == set(map(type, ends))

    virtually(main)


def test_a_first_submit_that_takes_long_holds_nobody_for_long(virtually, service):
    """One more goes for each second in which none was answered; once one is, all that fit go."""

    async def main():
        here, sent = service(), []
        answer = here.exchange

        async def slowly(request):
            if "/fetch" not in request.url:
                sent.append(asyncio.get_running_loop().time())
                await asyncio.sleep(2.6 if len(sent) == 1 else 60.0)
            return await answer(request)

        here.exchange = slowly
        async with here.client(slots=8) as client:
            tries = [client.submit(REALTIME, prompt=str(number)) for number in range(8)]
            await asyncio.gather(*tries)
        assert [0.0, 1.0, 2.0] == sent[:3]
        assert [2.61] * 5 == [round(moment, 2) for moment in sent[3:]]

    virtually(main)


def test_after_a_refusal_one_goes_alone_again(virtually, service):
    """A key that was taken may be refused later, and costs one submit then as well."""

    async def main():
        refused = lambda *_: said(401, status="error", message="no")  # noqa: E731
        here = service(done, done, done, *[refused] * 20)
        async with here.client(slots=5) as client:
            for count in (3, 1, 4):
                tries = [client.submit(REALTIME, prompt=str(number)) for number in range(count)]
                await asyncio.gather(*tries, return_exceptions=True)
        assert 3 + 1 + 1 == len(here.submits)

    virtually(main)


def test_requests_get_places_in_order(virtually, world):
    """Who came first is submitted first."""

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 5.0))}
        async with world(slots=1, emulated=emulated) as here:
            await asyncio.gather(
                *(here.client.generate(REALTIME, prompt=str(number)) for number in range(5))
            )
            sent = [each for each in here.wire.requests if each.url.path.endswith("text2img")]
        assert list("01234") == [json.loads(each.content)["prompt"] for each in sent]

    virtually(main)


def too_fast(*_):
    return said(429, status="error", message="Too many requests")


@pytest.mark.parametrize("setback", [full, too_fast])
def test_who_is_sent_back_keeps_its_turn(virtually, service, setback):
    """A request that was refused for the rate goes before those that came later."""

    def second_is_sent_back(here, fields):
        marks = [each["prompt"] for each in here.submits]
        return (setback if ["0", "1"] == marks else taken)(here, fields)

    async def main():
        here = service(*[second_is_sent_back] * 6)
        async with here.client(slots=1) as client:
            tries = (client.generate(REALTIME, prompt=str(number)) for number in range(5))
            await asyncio.gather(*tries)
        assert list("011234") == [each["prompt"] for each in here.submits]

    virtually(main)


@pytest.mark.parametrize("more", [{}, {"enterprise_key": "another-key-5678"}])
def test_the_places_are_of_a_key(virtually, world, more):
    """Over all families of one key no more are queued than it has places; another has its own."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 30.0)), "queue_limit": 5}
        async with world(emulated=emulated, **more) as here:
            requests = [
                (name, {"prompt": f"a fox, number {number}"})
                for number in range(10)
                for name in (REALTIME, "enterprise_realtime/text2img")
            ]
            ends = [end async for _, end in here.client.generate_many(requests)]
            took = asyncio.get_running_loop().time()
        assert {Success: 20} == Counter(map(type, ends))
        assert 20 == len(here.emulator.submits)
        assert took > 80.0 if not more else took < 70.0

    virtually(main)


def test_a_place_is_free_when_its_ticket_ends(virtually, world):
    """Also where nobody waits for the ticket: those who wait for its place have it looked at."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0)), "queue_limit": 1}
        async with world(slots=1, emulated=emulated) as here:
            await here.client.submit(REALTIME, prompt="a fox")
            await here.client.submit(REALTIME, prompt="a dog")
            assert 20.0 <= asyncio.get_running_loop().time() < 21.0

    virtually(main)


@pytest.mark.parametrize("how", ["wait", "fetch"])
def test_a_place_is_free_when_its_end_was_seen(virtually, world, how):
    """An end that the caller was told of frees the place without another look."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0)), "queue_limit": 1}
        async with world(slots=1, emulated=emulated) as here:
            begun = await here.client.submit(REALTIME, prompt="a fox")
            await asyncio.sleep(30.0)
            await getattr(here.client, how)(begun.ticket)
            await here.client.submit(REALTIME, prompt="a dog")
        assert 3 == len(here.wire.requests)

    virtually(main)


def test_a_place_is_free_when_nothing_came_of_it(virtually, service):
    """A refused, a failed and a finished submit hold no place."""

    async def main():
        here = service(
            lambda *_: said(400, status="error", message="prompt is required"),
            lambda *_: said(status="failed", id="", message="Failed, Try Again"),
            done,
            done,
        )
        async with here.client(slots=1) as client:
            ends = [end async for _, end in client.generate_many(prompts(4))]
        assert 4 == len(here.submits)
        assert 2 == sum(isinstance(end, Success) for end in ends)
        assert here.moments[-1] < 1.0

    virtually(main)


def test_a_place_is_free_when_its_ticket_is_given_up(virtually, world):
    """A ticket that is refused or beyond its faults holds no place."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0))}
        async with world(slots=1, emulated=emulated) as here:
            begun = await here.client.submit(REALTIME, prompt="a fox")
            here.wire.down = True
            with pytest.raises(TransportError):
                await here.client.wait(begun.ticket)
            here.wire.down = False
            before = asyncio.get_running_loop().time()
            await here.client.submit(REALTIME, prompt="a dog")
            assert before == asyncio.get_running_loop().time()

    virtually(main)


class Endless(Service):
    """Its work is never over."""

    async def exchange(self, request, /):
        if "/fetch" in request.url:
            return said(status="processing", output=[])
        return await super().exchange(request)


def test_a_place_that_nobody_hears_of_is_free_after_an_hour(virtually):
    """Work that never ends does not hold up the others for good."""

    async def main():
        async with Endless().client(slots=1) as client:
            await client.submit(REALTIME, prompt="a fox")
            await client.submit(REALTIME, prompt="a dog")
            assert 3600.0 <= asyncio.get_running_loop().time() < 3700.0

    virtually(main)


def test_those_who_wait_may_go_away(virtually, world):
    """Who is cancelled in line takes no place, and leaves those behind where they are."""

    def second_goes_away(event):
        # The place was just given to the second, who does not know yet.
        if isinstance(event, Completed):
            line[1].cancel()

    line = []

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 5.0)), "queue_limit": 1}
        async with world(slots=1, emulated=emulated, on_event=second_goes_away) as here:
            await here.client.submit(REALTIME, prompt="a fox")
            line.extend(
                asyncio.create_task(here.client.submit(REALTIME, prompt=f"dog {number}"))
                for number in range(3)
            )
            await asyncio.sleep(1.0)
            line[0].cancel()
            await line[2]
        assert line[0].cancelled()
        assert line[1].cancelled()
        assert 2 == sum(each.url.path.endswith("text2img") for each in here.wire.requests)

    virtually(main)


def test_a_full_queue_lowers_the_places_for_a_while(virtually, world):
    """Where others use the same account, a 429 holds the line until somebody leaves."""

    async def main():
        emulated = {"jobs": Jobs(duration=(10.0, 10.0)), "queue_limit": 3}
        async with world(slots=5, emulated=emulated) as here:
            ends = [end async for _, end in here.client.generate_many(prompts(30))]
        assert {Success: 30} == Counter(map(type, ends))
        sent = sum(each.url.path.endswith("text2img") for each in here.wire.requests)
        # Two are refused at first, and two each time that the lowering is over.
        assert 30 < sent <= 30 + 2 * (1 + 100 // 30)

    virtually(main)


@pytest.mark.parametrize("kind", [AuthenticationError, PaymentRequired])
def test_a_refused_key_ends_a_long_source(virtually, service, kind):
    """Once the key is refused, those in line and the rest of the source are not sent."""
    code = {AuthenticationError: 401, PaymentRequired: 402}[kind]

    async def main():
        here = service(*[lambda *_: said(code, status="error", message="no")] * 500)
        async with here.client(slots=5) as client:
            ends = [end async for _, end in client.generate_many(prompts(500))]
        assert 500 == len(ends)
        assert all(isinstance(end, Unsubmitted) for end in ends)
        assert {kind} == {type(end.cause) for end in ends}
        assert 1 == len(here.submits)

    virtually(main)


def test_many_outcomes_of_every_kind(virtually, service):
    """Each request comes back with its own outcome, whatever became of the others."""
    steps = [
        done,
        lost,
        lambda *_: said(status="failed", id=9, message="Failed"),
        lambda *_: said(400, status="error", message="bad prompt"),
    ]

    async def main():
        here = service(*steps)
        async with here.client(slots=1) as client:
            found = {
                request[1]["prompt"][-1]: end
                async for request, end in client.generate_many(prompts(5))
            }
        assert isinstance(found["0"], Success)
        assert isinstance(found["1"].cause, SubmitUncertain)
        assert isinstance(found["2"].cause, GenerationFailed)
        assert "bad prompt" == found["3"].cause.server_message
        assert isinstance(found["4"], Success)

    virtually(main)


def test_many_may_run_out_of_time(virtually, world):
    """A request whose work is not over in time is unresolved, and its ticket can be resumed."""

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(50.0, 50.0))}) as here:
            ends = [end async for _, end in here.client.generate_many(prompts(2), timeout=5.0)]
            assert all(isinstance(end, Unresolved) for end in ends)
            assert all(isinstance(end.cause, WaitTimeout) for end in ends)
            assert (await here.client.wait(ends[0].ticket)).output

    virtually(main)


def test_a_failed_job_is_an_outcome(virtually, world):
    """A job that fails later is `Failed`, and its place is free."""

    async def main():
        async with world(slots=1, emulated={"jobs": Jobs(failure_rate=1.0)}) as here:
            ends = [end async for _, end in here.client.generate_many(prompts(3))]
        assert {Failed: 3} == Counter(map(type, ends))

    virtually(main)


def test_the_source_is_read_as_far_as_the_window_allows(virtually, service):
    """A source of any length is read as its requests are taken."""
    read = []

    async def source():
        for request in prompts(50):
            read.append(request)
            yield request

    async def main():
        here = service()
        async with here.client() as client:
            taken = 0
            async for _ in client.generate_many(source(), window=10):
                taken += 1
                assert len(read) <= taken + 11
        assert 50 == taken

    virtually(main)


def test_what_the_source_raises_comes_last(virtually, service):
    """An ill-formed request is raised after the outcomes of those before it."""

    async def main():
        here = service()
        async with here.client() as client:
            many = client.generate_many([*prompts(3), (REALTIME, {})])
            ends = [(await anext(many))[1] for _ in range(3)]
            with pytest.raises(ValueError, match="needs prompt"):
                await anext(many)
            with pytest.raises(ValueError, match="a pair of an endpoint"):
                await anext(client.generate_many([REALTIME]))
            with pytest.raises(ValueError, match="window"):
                await anext(client.generate_many([], window=0))
        assert all(isinstance(end, Success) for end in ends)

    virtually(main)


def test_leaving_early_starts_nothing_more(virtually, world):
    """Whoever breaks off leaves no task and no place behind."""

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 9.0)), "queue_limit": 2}
        async with world(slots=2, emulated=emulated) as here:
            ends = here.client.generate_many(prompts(50))
            async for _ in ends:
                break
            await ends.aclose()
            sent = len(here.wire.requests)
            await asyncio.sleep(60.0)
            assert sent == len(here.wire.requests)
            assert (await here.client.generate(REALTIME, prompt="a cat")).output

    virtually(main)


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"submit_timeout": 0.0}])
def test_what_is_out_of_range_is_said(wrong):
    """A number that makes no sense is refused with what was expected."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Client("a-test-key", **wrong)


def test_no_bound_is_no_bound(virtually, service):
    """With `queue=None` nobody waits, once the first was taken."""

    async def main():
        here = service()
        async with here.client(slots=None) as client:
            tickets = await asyncio.gather(
                *(client.submit(REALTIME, prompt=str(number)) for number in range(50))
            )
        assert 50 == len({begun.ticket for begun in tickets})
        assert 2 == len(set(here.moments))
        assert 49 == here.moments.count(here.moments[-1])

    virtually(main)


def test_a_slow_rate_holds_everybody(virtually, service):
    """Too many requests, of no queue in particular, hold all submits of the key."""

    async def main():
        limited = said(429, {"retry-after": "7"}, status="error", message="Too many requests")
        here = service(lambda *_: limited)
        async with here.client() as client:
            first = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(1.0)
            await client.submit(REALTIME, prompt="a dog")
            await first
        assert here.moments[1] - here.moments[0] >= 7.0
        assert 3 == len(here.moments)

    virtually(main)


@pytest.mark.timeout(30)
def test_a_second_is_over_when_its_timer_rings(virtually):
    """Where two seconds after a moment are a little less by subtraction, the third goes as well."""
    moment = 0.010619535661385375
    assert (moment + 2.0) - moment < 2.0

    async def main():
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(moment)
        places = Slots(None, poller=None)
        for number, after in enumerate((0.0, 1.0, 2.0)):
            await places.acquire(number)
            assert moment + after == pytest.approx(clock())

    virtually(main)


@pytest.mark.parametrize("how", ["left", "whole", "raised", "refused"])
def test_the_source_of_many_is_closed(virtually, service, how):
    """An async generator has ended when the loop is left, wherever it had come to."""
    steps = []

    async def source():
        try:
            for number in range(100):
                await asyncio.sleep(0.001)
                if how == "refused" and number == 3:
                    yield REALTIME, {"promt": "misspelled"}
                yield REALTIME, {"prompt": str(number)}
                if how == "whole" and number == 3:
                    return
        finally:
            await asyncio.sleep(0.001)
            steps.append("closed")

    async def main():
        async with service(*[done] * 100).client() as client:
            ends = client.generate_many(source(), window=5)
            with suppress(OSError, ValueError):
                async for _ in ends:
                    if how == "left":
                        break
                    if how == "raised":
                        raise OSError
            await ends.aclose()
            assert ["closed"] == steps

    virtually(main)
