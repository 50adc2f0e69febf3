"""The slots of a key: how many jobs are queued, which comes next, and what a 429 changes."""

import asyncio
import heapq
import json
from collections import Counter
from contextlib import suppress

import pytest
from everyday import cases

from modelslab_async import (
    AuthenticationError,
    Client,
    Completed,
    Failed,
    GenerationFailed,
    PaymentRequired,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    Unresolved,
    Unsubmitted,
    WaitTimeout,
)
from modelslab_async._submitting.slot_polls import SlotPolls
from modelslab_async._submitting.slots import Slots
from modelslab_async.emulator import Jobs

from .conftest import (
    REALTIME,
    Service,
    accept,
    connection_lost,
    finish_at_once,
    json_response,
    queue_full,
)


def prompts(count):
    return [(REALTIME, {"prompt": f"a fox, number {number}"}) for number in range(count)]


def best(durations, slots):
    """When the last job starts if every end is noticed at once."""
    free = [0.0] * slots
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
def test_many_submits_share_five_slots(virtually, world, shape, eta, count):
    """No submit is refused for a full queue, and the slots are empty for 3 % of the time."""
    drawn = []

    def duration(dice):
        drawn.append(SHAPES[shape](dice))
        return drawn[-1]

    async def main():
        emulated = {"jobs": Jobs(duration=duration, eta=eta), "queue_limit": 5}
        async with world(latency=0.02, emulated=emulated) as here:
            outcomes = [outcome async for _, outcome in here.client.generate_many(prompts(count))]
        assert {Success: count} == Counter(map(type, outcomes))
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
    cases(
        [(6.0, "honest", 0.0), (21.0, "none", 0.0), (21.0, "pessimistic", 20.0)],
        [(1.0, "none", 0.0), (2.0, "pessimistic", 20.0)],
    ),
)
def test_slot_stays_empty_for_a_bounded_time(virtually, world, seconds, eta, learning):
    """A quarter of a second or 4 % of a job, and two round trips. Wrong etas cost 20 s once."""
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
def test_refused_key_costs_one_submit(virtually, service, refusal):
    """However many have a slot, one goes first; the others get its error."""

    async def main():
        here = service(*[lambda *_: json_response(refusal, status="error", message="no")] * 20)
        async with here.client(queue=5) as client:
            tries = [client.submit(REALTIME, prompt=str(number)) for number in range(8)]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert 1 == len(here.submits)
        assert {AuthenticationError if refusal == 401 else PaymentRequired} == set(
            map(type, outcomes)
        )

    virtually(main)


def test_slow_first_submit_delays_others_by_a_second_each(virtually, service):
    """One more goes for each second without a reply; after the first reply, all that fit go."""

    async def main():
        here, sent = service(), []
        answer = here.exchange

        async def slowly(request):
            if "/fetch" not in request.url:
                sent.append(asyncio.get_running_loop().time())
                await asyncio.sleep(2.6 if len(sent) == 1 else 60.0)
            return await answer(request)

        here.exchange = slowly
        async with here.client(queue=8) as client:
            tries = [client.submit(REALTIME, prompt=str(number)) for number in range(8)]
            await asyncio.gather(*tries)
        assert [0.0, 1.0, 2.0] == sent[:3]
        assert [2.61] * 5 == [round(moment, 2) for moment in sent[3:]]

    virtually(main)


def test_one_submit_goes_alone_after_refusal(virtually, service):
    """A key that was accepted may be refused later, and costs one submit then as well."""

    async def main():
        refused = lambda *_: json_response(401, status="error", message="no")  # noqa: E731
        here = service(finish_at_once, finish_at_once, finish_at_once, *[refused] * 20)
        async with here.client(queue=5) as client:
            for count in (3, 1, 4):
                tries = [client.submit(REALTIME, prompt=str(number)) for number in range(count)]
                await asyncio.gather(*tries, return_exceptions=True)
        assert 3 + 1 + 1 == len(here.submits)

    virtually(main)


def test_requests_get_slots_in_order(virtually, world):
    """The earliest request is submitted first."""

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 5.0))}
        async with world(queue=1, emulated=emulated) as here:
            await asyncio.gather(
                *(here.client.generate(REALTIME, prompt=str(number)) for number in range(5))
            )
            sent = [each for each in here.wire.requests if each.url.path.endswith("text2img")]
        assert list("01234") == [json.loads(each.content)["prompt"] for each in sent]

    virtually(main)


def too_fast(*_):
    return json_response(429, status="error", message="Too many requests")


@pytest.mark.parametrize("setback", [queue_full, too_fast])
def test_rate_limited_request_keeps_its_position(virtually, service, setback):
    """A request that was refused for its rate goes before later ones."""

    def second_is_sent_back(here, fields):
        marks = [each["prompt"] for each in here.submits]
        return (setback if ["0", "1"] == marks else accept)(here, fields)

    async def main():
        here = service(*[second_is_sent_back] * 6)
        async with here.client(queue=1) as client:
            tries = (client.generate(REALTIME, prompt=str(number)) for number in range(5))
            await asyncio.gather(*tries)
        assert list("011234") == [each["prompt"] for each in here.submits]

    virtually(main)


@pytest.mark.parametrize("more", [{}, {"enterprise_key": "another-key-5678"}])
def test_slots_belong_to_a_key(virtually, world, more):
    """Over all families of one key, no more are queued than it has slots. Another has its own."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 30.0)), "queue_limit": 5}
        async with world(emulated=emulated, **more) as here:
            requests = [
                (name, {"prompt": f"a fox, number {number}"})
                for number in range(10)
                for name in (REALTIME, "enterprise_realtime/text2img")
            ]
            outcomes = [outcome async for _, outcome in here.client.generate_many(requests)]
            took = asyncio.get_running_loop().time()
        assert {Success: 20} == Counter(map(type, outcomes))
        assert 20 == len(here.emulator.submits)
        assert took > 80.0 if not more else took < 70.0

    virtually(main)


def test_slot_is_free_when_its_ticket_ends(virtually, world):
    """Even if no caller waits for the ticket: the submits that wait have it polled."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0)), "queue_limit": 1}
        async with world(queue=1, emulated=emulated) as here:
            await here.client.submit(REALTIME, prompt="a fox")
            await here.client.submit(REALTIME, prompt="a dog")
            assert 20.0 <= asyncio.get_running_loop().time() < 21.0

    virtually(main)


@pytest.mark.parametrize("how", ["wait", "fetch"])
def test_slot_is_free_once_its_outcome_was_seen(virtually, world, how):
    """An outcome that a caller got frees the slot without another poll."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0)), "queue_limit": 1}
        async with world(queue=1, emulated=emulated) as here:
            begun = await here.client.submit(REALTIME, prompt="a fox")
            await asyncio.sleep(30.0)
            await getattr(here.client, how)(begun.ticket)
            await here.client.submit(REALTIME, prompt="a dog")
        assert 3 == len(here.wire.requests)

    virtually(main)


def test_slot_is_free_when_no_ticket_was_made(virtually, service):
    """A refused, a failed and a finished submit hold no slot."""

    async def main():
        here = service(
            lambda *_: json_response(400, status="error", message="prompt is required"),
            lambda *_: json_response(status="failed", id="", message="Failed, Try Again"),
            finish_at_once,
            finish_at_once,
        )
        async with here.client(queue=1) as client:
            outcomes = [outcome async for _, outcome in client.generate_many(prompts(4))]
        assert 4 == len(here.submits)
        assert 2 == sum(isinstance(outcome, Success) for outcome in outcomes)
        assert here.moments[-1] < 1.0

    virtually(main)


def test_slot_is_free_when_its_ticket_is_given_up(virtually, world):
    """A ticket that is refused, or failed too often to be polled, holds no slot."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0))}
        async with world(queue=1, emulated=emulated) as here:
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
    """A service whose work never ends."""

    async def exchange(self, request, /):
        if "/fetch" in request.url:
            return json_response(status="processing", output=[])
        return await super().exchange(request)


def test_slot_of_endless_work_is_free_after_an_hour(virtually):
    """Work that never ends does not delay the others for good."""

    async def main():
        async with Endless().client(queue=1) as client:
            await client.submit(REALTIME, prompt="a fox")
            await client.submit(REALTIME, prompt="a dog")
            assert 3600.0 <= asyncio.get_running_loop().time() < 3700.0

    virtually(main)


def test_cancelled_waiting_submit_takes_no_slot(virtually, world):
    """A submit that is cancelled while it waits takes no slot, and the others keep their order."""

    def second_goes_away(event):
        # The slot was just given to the second task, which has not run yet.
        if isinstance(event, Completed):
            line[1].cancel()

    line = []

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 5.0)), "queue_limit": 1}
        async with world(queue=1, emulated=emulated, on_event=second_goes_away) as here:
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


def test_full_queue_lowers_limit_for_a_while(virtually, world):
    """If other programs use the account, a 429 holds submits back until a slot frees."""

    async def main():
        emulated = {"jobs": Jobs(duration=(10.0, 10.0)), "queue_limit": 3}
        async with world(queue=5, emulated=emulated) as here:
            outcomes = [outcome async for _, outcome in here.client.generate_many(prompts(30))]
        assert {Success: 30} == Counter(map(type, outcomes))
        sent = sum(each.url.path.endswith("text2img") for each in here.wire.requests)
        # Two are refused at first, and two each time that the lower limit ends.
        assert 30 < sent <= 30 + 2 * (1 + 100 // 30)

    virtually(main)


@pytest.mark.parametrize("kind", [AuthenticationError, PaymentRequired])
def test_refused_key_ends_long_source(virtually, service, kind):
    """Once the key is refused, waiting requests and the rest of the source are not sent."""
    code = {AuthenticationError: 401, PaymentRequired: 402}[kind]

    async def main():
        here = service(*[lambda *_: json_response(code, status="error", message="no")] * 500)
        async with here.client(queue=5) as client:
            outcomes = [outcome async for _, outcome in client.generate_many(prompts(500))]
        assert 500 == len(outcomes)
        assert all(isinstance(outcome, Unsubmitted) for outcome in outcomes)
        assert {kind} == {type(outcome.cause) for outcome in outcomes}
        assert 1 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize("kind", [AuthenticationError, PaymentRequired])
def test_refused_key_ends_nothing_of_another_key(virtually, service, kind):
    """Standard requests are sent, however early the server refuses the enterprise key."""
    code = {AuthenticationError: 401, PaymentRequired: 402}[kind]
    enterprise = [("enterprise_realtime/text2img", {"prompt": str(n)}) for n in range(2)]

    async def main():
        here = service(lambda *_: json_response(code, status="error", message="no"))
        async with here.client(enterprise_key="an-enterprise-key") as client:
            requests = [enterprise[0], *prompts(3), enterprise[1]]
            outcomes = [outcome async for _, outcome in client.generate_many(requests, window=1)]
        assert [Unsubmitted, *[Success] * 3, Unsubmitted] == [*map(type, outcomes)]
        assert [kind, kind] == [type(outcomes[index].cause) for index in (0, -1)]
        assert 4 == len(here.submits)

    virtually(main)


def test_generate_many_yields_outcomes_of_every_kind(virtually, service):
    """Each request comes back with its own outcome, whatever became of the others."""
    steps = [
        finish_at_once,
        connection_lost,
        lambda *_: json_response(status="failed", id=9, message="Failed"),
        lambda *_: json_response(400, status="error", message="bad prompt"),
    ]

    async def main():
        here = service(*steps)
        async with here.client(queue=1) as client:
            found = {
                request[1]["prompt"][-1]: outcome
                async for request, outcome in client.generate_many(prompts(5))
            }
        assert isinstance(found["0"], Success)
        assert isinstance(found["1"].cause, SubmitUncertain)
        assert isinstance(found["2"].cause, GenerationFailed)
        assert "bad prompt" == found["3"].cause.server_message
        assert isinstance(found["4"], Success)

    virtually(main)


def test_generate_many_times_out_each_request(virtually, world):
    """A request that is not done in time is unresolved, and its ticket can be resumed."""

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(50.0, 50.0))}) as here:
            outcomes = [
                outcome async for _, outcome in here.client.generate_many(prompts(2), timeout=5.0)
            ]
            assert all(isinstance(outcome, Unresolved) for outcome in outcomes)
            assert all(isinstance(outcome.cause, WaitTimeout) for outcome in outcomes)
            assert (await here.client.wait(outcomes[0].ticket)).output

    virtually(main)


def test_failed_job_is_an_outcome(virtually, world):
    """A job that fails later is `Failed`, and its slot is free."""

    async def main():
        async with world(queue=1, emulated={"jobs": Jobs(failure_rate=1.0)}) as here:
            outcomes = [outcome async for _, outcome in here.client.generate_many(prompts(3))]
        assert {Failed: 3} == Counter(map(type, outcomes))

    virtually(main)


def test_source_is_read_as_far_as_window_allows(virtually, service):
    """A source of any length is read as its requests are taken."""
    read = []

    async def source():
        for request in prompts(50):
            read.append(request)
            yield request

    async def main():
        here = service()
        async with here.client() as client:
            count = 0
            async for _ in client.generate_many(source(), window=10):
                count += 1
                assert len(read) <= count + 11
        assert 50 == count

    virtually(main)


def test_error_of_source_comes_last(virtually, service):
    """An ill-formed request is raised after the outcomes of those before it."""

    async def main():
        here = service()
        async with here.client() as client:
            many = client.generate_many([*prompts(3), (REALTIME, {})])
            outcomes = [(await anext(many))[1] for _ in range(3)]
            with pytest.raises(ValueError, match="needs prompt"):
                await anext(many)
            with pytest.raises(ValueError, match="a pair of an endpoint"):
                await anext(client.generate_many([REALTIME]))
            with pytest.raises(ValueError, match="window"):
                await anext(client.generate_many([], window=0))
        assert all(isinstance(outcome, Success) for outcome in outcomes)

    virtually(main)


def test_leaving_early_starts_nothing_more(virtually, world):
    """A loop that is left leaves no task behind and holds no slot."""

    async def main():
        emulated = {"jobs": Jobs(duration=(5.0, 9.0)), "queue_limit": 2}
        async with world(queue=2, emulated=emulated) as here:
            outcomes = here.client.generate_many(prompts(50))
            async for _ in outcomes:
                break
            await outcomes.aclose()
            sent = len(here.wire.requests)
            await asyncio.sleep(60.0)
            assert sent == len(here.wire.requests)
            assert (await here.client.generate(REALTIME, prompt="a cat")).output

    virtually(main)


@pytest.mark.parametrize("wrong", [{"queue": 0}, {"submit_timeout": 0.0}])
def test_argument_out_of_range_is_refused(wrong):
    """A number that makes no sense is refused with what was expected."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Client("a-test-key", **wrong)


def test_no_slot_limit_delays_no_submit(virtually, service):
    """With `queue=None` no submit waits, once the first was accepted."""

    async def main():
        here = service()
        async with here.client(queue=None) as client:
            tickets = await asyncio.gather(
                *(client.submit(REALTIME, prompt=str(number)) for number in range(50))
            )
        assert 50 == len({begun.ticket for begun in tickets})
        assert 2 == len(set(here.moments))
        assert 49 == here.moments.count(here.moments[-1])

    virtually(main)


def test_rate_limit_delays_all_submits(virtually, service):
    """A 429 that names no queue delays all submits of the key."""

    async def main():
        limited = json_response(
            429, {"retry-after": "7"}, status="error", message="Too many requests"
        )
        here = service(lambda *_: limited)
        async with here.client() as client:
            first = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(1.0)
            await client.submit(REALTIME, prompt="a dog")
            await first
        assert here.moments[1] - here.moments[0] >= 7.0
        assert 3 == len(here.moments)

    virtually(main)


def test_ticket_that_cannot_be_polled_keeps_its_slot(virtually):
    """A poller that refuses the ticket stops no timer: the next submit goes after an hour."""

    class Refusing:
        def watch(self, *_):
            raise ValueError("unknown family")

        def unwatch(self, *_):
            pass

    async def main():
        clock = asyncio.get_running_loop().time
        slots = Slots(1, SlotPolls(Refusing()))
        await slots.acquire(0)
        slots.assign(Ticket("images", 1), eta=1.0)
        await slots.acquire(1)
        assert 3600.0 <= clock() < 3601.0

    virtually(main)


@pytest.mark.timeout(30)
def test_probe_goes_when_its_timer_fires(virtually):
    """Rounding makes two seconds a little shorter by subtraction; the third submit goes as well."""
    moment = 0.010619535661385375
    assert (moment + 2.0) - moment < 2.0

    async def main():
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(moment)
        slots = Slots(None, SlotPolls(None))
        for number, after in enumerate((0.0, 1.0, 2.0)):
            await slots.acquire(number)
            assert moment + after == pytest.approx(clock())

    virtually(main)


@pytest.mark.parametrize("how", ["left", "whole", "raised", "refused"])
def test_source_of_generate_many_is_closed(virtually, service, how):
    """An async generator has ended when the loop is left, wherever it stood."""
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
        async with service(*[finish_at_once] * 100).client() as client:
            outcomes = client.generate_many(source(), window=5)
            with suppress(OSError, ValueError):
                async for _ in outcomes:
                    if how == "left":
                        break
                    if how == "raised":
                        raise OSError
            await outcomes.aclose()
            assert ["closed"] == steps

    virtually(main)
