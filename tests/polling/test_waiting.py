"""What callers get: wait, gather, stream, watch and fetch, on virtual time."""

import asyncio
import json
import math
import operator
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest

from modelslab_async import (
    AuthenticationError,
    Client,
    ClientClosed,
    Failed,
    GenerationFailed,
    InvalidRequest,
    Pace,
    PaymentRequired,
    PermissionDenied,
    Processing,
    ServerError,
    Success,
    Ticket,
    TicketNotFound,
    TransportError,
    Unresolved,
    WaitTimeout,
)
from modelslab_async.emulator import Jobs, ScriptedReply


def said(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


def test_wait_gives_the_result(virtually, world):
    """Waiting for a job that ends well gives its output."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=7.0)
            reply = await here.client.wait("images:1")
            assert Ticket("images", 1) == reply.ticket
            assert 1 == len(reply.output)

    virtually(main)


@pytest.mark.parametrize(
    "ticket", [Ticket("images", 1), "images:1", ("images", 1), ("images", "1")]
)
def test_a_ticket_may_come_in_any_form(virtually, world, ticket):
    """A ticket, its text and a pair all name the same generation."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            assert "images:1" == str((await here.client.wait(ticket)).ticket)
            assert isinstance(await here.client.fetch(ticket), Success)

    virtually(main)


def test_a_failed_job_raises(virtually, world):
    """A job's own failure is raised with the server's words."""

    async def main():
        async with world() as here:
            here.emulator.add_job("video:1", duration=3.0, fails=True)
            with pytest.raises(GenerationFailed, match="Try Again") as caught:
                await here.client.wait("video:1")
            assert isinstance(caught.value.reply, Failed)

    virtually(main)


def test_an_unknown_id_has_a_grace(virtually, world):
    """An id that is not known yet is asked for again; one that stays unknown is not found."""

    async def main():
        async with world() as here:
            asyncio.get_running_loop().call_later(2.0, here.emulator.add_job, "realtime:1")
            assert isinstance(await here.client.wait("realtime:1"), Success)
            with pytest.raises(TicketNotFound):
                await here.client.wait("realtime:2")

    virtually(main)


def test_wait_ends_when_patience_does(virtually, world):
    """After the timeout the error carries the ticket and the last reply, and is a TimeoutError."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=100.0)
            with pytest.raises(TimeoutError) as caught:
                await here.client.wait("images:1", timeout=10.0)
            assert isinstance(caught.value, WaitTimeout)
            assert Ticket("images", 1) == caught.value.ticket
            assert isinstance(caught.value.last, Processing)
            assert 10.0 == pytest.approx(asyncio.get_running_loop().time())
            polls = here.wire.requests.copy()
            await asyncio.sleep(50.0)
            assert polls == here.wire.requests

    virtually(main)


def test_gather_keeps_the_order_and_hides_nothing(virtually, world):
    """Outcomes come in the order asked, whatever became of each."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=9.0)
            here.emulator.add_job("video:2", duration=1.0, fails=True)
            here.emulator.add_job("voice:3", duration=1000.0)
            tickets = ["images:1", "video:2", "voice:3", "images:1"]
            outcomes = await here.client.gather(tickets, timeout=20.0)
            assert [Success, Failed, Unresolved, Success] == [type(each) for each in outcomes]
            assert isinstance(outcomes[2].cause, WaitTimeout)
            assert tickets == [str(each.ticket) for each in outcomes]
            assert [] == await here.client.gather([])

    virtually(main)


def test_gather_sends_nothing_if_a_ticket_is_wrong(virtually, world):
    """One ill-formed ticket is found before the first request."""

    async def main():
        async with world() as here:
            with pytest.raises(ValueError, match="did you mean 'images'"):
                await here.client.gather(["images:1", "imags:2"])
            with pytest.raises(ValueError, match="family:id"):
                await here.client.gather(["images:1", "2"])
            assert [] == here.wire.requests

    virtually(main)


@pytest.mark.parametrize("how", ["gather", "stream"])
def test_given_twice_costs_no_more(virtually, world, how):
    """A thousand tickets given twice cost no more looks than given once."""

    def polls(times):
        async def main():
            async with world(emulated={"jobs": Jobs(seed=1)}) as here:
                tickets = here.emulator.add_jobs(1000) * times
                if how == "gather":
                    outcomes = await here.client.gather(tickets)
                else:
                    outcomes = [each async for each in here.client.stream(tickets)]
                assert len(tickets) == len(outcomes)
                assert all(isinstance(each, Success) for each in outcomes)
                # Chance shortens a step by a tenth at most; a second poller would double it.
                return here.wire.requests

        return len(virtually(main))

    assert polls(2) == pytest.approx(polls(1), rel=0.02)


def test_stream_reads_its_source_lazily(virtually, world):
    """No more tickets than the window are taken from the source before outcomes are read."""
    taken = 0

    def source(tickets) -> Iterator[Ticket]:
        nonlocal taken
        for ticket in tickets:
            taken += 1
            yield ticket

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(100)
            stream = here.client.stream(source(tickets), window=10)
            assert isinstance(await anext(stream), Success)
            await asyncio.sleep(100.0)
            # The one beyond the window waits in the reader's hand.
            assert taken <= 12
            assert 99 == len([each async for each in stream])
            assert 100 == taken

    virtually(main)


def test_stream_takes_an_async_source(virtually, world):
    """Outcomes of early tickets come while the source is still waiting for later ones."""

    async def main():
        async with world() as here:

            async def source() -> AsyncIterator[str]:
                here.emulator.add_job("images:1", duration=1.0)
                yield "images:1"
                await asyncio.sleep(1000.0)
                here.emulator.add_job("images:2", duration=1.0)
                yield "images:2"

            clock = asyncio.get_running_loop().time
            ends = {str(each.ticket): clock() async for each in here.client.stream(source())}
            assert ends["images:1"] < 5.0
            assert 1000.0 < ends["images:2"] < 1005.0

    virtually(main)


def test_stream_raises_what_its_source_raises(virtually, world):
    """An exception of the source reaches who reads the stream."""

    async def main():
        async with world() as here:

            def source() -> Iterator[str]:
                yield "images:1"
                raise KeyError("the file of ids is gone")

            with pytest.raises(KeyError, match="the file of ids"):
                async for _ in here.client.stream(source()):
                    pass

    virtually(main)


@pytest.mark.parametrize("leave", ["break", "cancel", "aclose"])
def test_leaving_a_stream_drops_what_it_had_open(virtually, world, leave):
    """After a stream is left early, its tickets are not looked at any more."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            others = [here.emulator.add_job(("images", n), duration=1000.0) for n in range(2, 20)]

            async def read():
                stream = here.client.stream(["images:1", *others])
                async for _ in stream:
                    if leave == "break":
                        break
                    if leave == "aclose":
                        await stream.aclose()
                        break

            reading = asyncio.create_task(read())
            await asyncio.sleep(3.0)
            reading.cancel()
            await asyncio.wait([reading])
            await asyncio.sleep(1.0)
            sent = len(here.wire.requests)
            await asyncio.sleep(500.0)
            assert sent == len(here.wire.requests)

    virtually(main)


def test_stream_times_out_each_ticket(virtually, world):
    """Each ticket has its own time, counted from when it was taken from the source."""

    async def main():
        async with world() as here:
            for number in range(4):
                here.emulator.add_job(("images", number), duration=1000.0)
            clock = asyncio.get_running_loop().time
            stream = here.client.stream([("images", n) for n in range(4)], timeout=5.0, window=2)
            ends = [clock() async for each in stream if isinstance(each, Unresolved)]
            assert [5.0, 5.0, 10.0, 10.0] == pytest.approx(ends)

    virtually(main)


def test_watch_tells_every_change(virtually, world):
    """Each new word of the server is told once, then the outcome."""

    async def main():
        async with world(pace=Pace(jitter=0.0)) as here:
            here.emulator.add_job("training:abc", duration=40.0)
            news = [each async for each in here.client.watch("training:abc")]
            stages = [each.status for each in news[:-1]]
            assert len(stages) == len(set(stages)) >= 5
            assert "deploying_gpu" == stages[0]
            assert isinstance(news[-1], Success)

    virtually(main)


def test_watching_late_begins_with_what_is_known(virtually, world):
    """Who joins later hears the last reply at once, without a look of its own."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(500.0)
            sent = len(here.wire.requests)
            news = await anext(aiter(here.client.watch("images:1")))
            assert isinstance(news, Processing)
            assert sent == len(here.wire.requests)
            waiting.cancel()
            await asyncio.wait([waiting])

    virtually(main)


def test_cancelling_one_waiter_disturbs_nobody(virtually, world):
    """Of two who wait for one ticket, the other one still gets its result."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=30.0)
            first = asyncio.create_task(here.client.wait("images:1"))
            second = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(5.0)
            first.cancel()
            assert isinstance(await second, Success)
            assert first.cancelled()

    virtually(main)


def test_cancelling_a_waiter_never_cancels_a_request(virtually, world):
    """A look that is on its way when its waiter leaves is finished, and who returns joins it."""

    async def main():
        async with world(latency=4.0) as here:
            here.emulator.add_job("images:1", duration=0.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(1.0)
            waiting.cancel()
            await asyncio.sleep(1.0)
            assert 1 == here.wire.flying
            assert isinstance(await here.client.wait("images:1"), Success)
            assert 1 == len(here.wire.requests)

    virtually(main)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (said(401, status="error", message="Invalid API key"), AuthenticationError),
        (said(402, status="error", message="Insufficient credits."), PaymentRequired),
        (said(200, status="error", message="Invalid API key"), AuthenticationError),
    ],
)
def test_a_refused_key_costs_one_request(virtually, world, reply, error):
    """However many wait, a bad key ends them all at once, with one request."""

    async def main():
        async with world(latency=0.1) as here:
            tickets = here.emulator.add_jobs(500, ["images", "video", "realtime"])
            for ticket in tickets:
                here.emulator.script(ticket, [reply])
            waits = (here.client.wait(ticket) for ticket in tickets)
            ends = await asyncio.gather(*waits, return_exceptions=True)
            assert {error} == {type(end) for end in ends}
            assert tickets == [end.ticket for end in ends]
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_a_refused_key_leaves_the_other_key_alone(virtually, world):
    """A refusal of the standard key does not end what the enterprise key is asked for."""

    async def main():
        async with world(enterprise_key="another-key-5678") as here:
            here.emulator.add_job("enterprise_video:1", duration=60.0)
            here.emulator.add_job("video:1", duration=60.0)
            here.emulator.script("video:1", [None, said(401, status="error", message="no")])
            good, bad = await here.client.gather(["enterprise_video:1", "video:1"])
            assert isinstance(good, Success)
            assert isinstance(bad.cause, AuthenticationError)

    virtually(main)


def test_permission_denied_ends_its_family(virtually, world):
    """A plan without one family ends that family's tickets and no others."""
    denied = said(403, status="error", message="This feature requires a premium subscription")

    async def main():
        async with world() as here:
            for ticket in ("video:1", "video:2", "images:1"):
                here.emulator.add_job(ticket, duration=60.0)
            here.emulator.script("video:1", [None, denied])
            ends = await here.client.gather(["video:1", "video:2", "images:1"])
            assert [PermissionDenied, PermissionDenied] == [type(end.cause) for end in ends[:2]]
            assert isinstance(ends[2], Success)

    virtually(main)


def test_an_invalid_request_ends_alone(virtually, world):
    """A request that the server calls wrong ends its own ticket."""

    async def main():
        async with world() as here:
            for ticket in ("video:1", "video:2"):
                here.emulator.add_job(ticket, duration=60.0)
            here.emulator.script("video:1", [said(400, status="error", message="no")])
            bad, good = await here.client.gather(["video:1", "video:2"])
            assert isinstance(bad.cause, InvalidRequest)
            assert isinstance(good, Success)

    virtually(main)


@pytest.mark.parametrize("hint", ["body", "header", "reset"])
def test_a_rate_limit_pauses_the_key(virtually, world, hint):
    """For as long as the server asks, no ticket of the key is looked at; none is given up."""
    body = {"status": "error", "message": "Rate limit exceeded."}
    limited = {
        "body": said(429, **body, retry_after=40),
        "header": said(429, {"retry-after": "40"}, **body),
        "reset": said(
            429,
            {"date": "Fri, 20 Nov 2026 10:00:00 GMT", "x-ratelimit-reset": "1795168840"},
            **body,
        ),
    }[hint]

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(20, ["images", "video", "legacy_v3"])
            here.emulator.script(tickets[0], [limited, None])
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            moments = here.wire.moments
            pauses = [late - early for early, late in pairwise(moments)]
            assert 40.0 == pytest.approx(max(pauses))

    virtually(main)


def test_faults_of_a_look_end_nothing_before_the_budget(virtually, world):
    """Server errors, HTML, cut JSON and rate limits are survived; the result comes all the same."""
    faults = [
        said(500, status="error", message="Internal server error. Please try again."),
        ScriptedReply(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
        ScriptedReply(200, b'{"status": "suc'),
        ScriptedReply(200, b""),
        said(200, message="Server Error"),
        said(429, status="error", message="Rate limit exceeded."),
        None,
    ]

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=5.0)
            here.emulator.script("images:1", faults)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_faults_beyond_the_budget_leave_the_ticket_unresolved(virtually, world):
    """After so many faults in a row the wait ends with the last one, and can be resumed."""

    async def main():
        async with world(pace=Pace(max_failures=4)) as here:
            here.emulator.add_job("images:1", duration=5.0)
            here.emulator.script("images:1", [said(500, message="down")] * 4 + [None])
            with pytest.raises(ServerError, match="down"):
                await here.client.wait("images:1")
            assert 4 == len(here.wire.requests)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_an_outage_is_probed_and_survived(virtually, world):
    """While the server is away, few looks are spent and no ticket is lost."""

    async def main():
        async with world(latency=0.05) as here:
            tickets = here.emulator.add_jobs(1000)
            loop = asyncio.get_running_loop()
            here.wire.down = True
            loop.call_later(1800.0, operator.setitem, vars(here.wire), "down", 0)
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            # Without the pause, 1000 tickets at this age would be looked at some 10,000 times.
            assert 200 > len([moment for moment in here.wire.moments if moment < 1800.0])
            # A pause of a minute at the most, and then ten looks a second.
            assert loop.time() < 1800.0 + 60.0 + 100.0 + 1.0

    virtually(main)


def test_no_more_looks_than_workers_at_once(virtually, world):
    """The number of workers bounds the requests on their way."""

    async def main():
        async with world(latency=0.5, workers=7) as here:
            await here.client.gather(here.emulator.add_jobs(200))
            assert 7 == here.wire.most_flying

    virtually(main)


def test_nothing_is_looked_at_before_it_is_due(virtually, world):
    """Between two looks at a ticket lies at least the pace's step."""

    async def main():
        async with world(pace=Pace(floor=2.0, growth=0.0, age_fraction=0.1, jitter=0.0)) as here:
            here.emulator.add_job("images:1", duration=200.0)
            await here.client.wait("images:1")
            moments = here.wire.moments
            for early, late in pairwise(moments):
                assert late - early >= max(2.0, 0.1 * early) - 1e-6

    virtually(main)


def test_closing_ends_every_wait(virtually, world):
    """Who waits while the client is closed hears so; later use says so too."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=100.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(5.0)
            await here.client.aclose()
            await here.client.aclose()
            with pytest.raises(ClientClosed):
                await waiting
            with pytest.raises(ClientClosed, match="make a new one"):
                await here.client.wait("images:1")
            with pytest.raises(ClientClosed):
                await here.client.fetch("images:1")

    virtually(main)


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_a_raising_hook_harms_nothing(virtually, world, caplog, error):
    """What `on_event` raises is logged, and the results come, of later calls too."""

    def hook(_event):
        raise error("a bug of somebody's metrics")

    async def main():
        async with world(on_event=hook) as here:
            for ticket in ("images:1", "images:2"):
                here.emulator.add_job(ticket, duration=3.0)
                assert isinstance(await here.client.wait(ticket), Success)

    virtually(main)
    assert "on_event raised" in caplog.text


async def _heard(_event):
    """What would have to be awaited."""


class _Heard:
    async def __call__(self, _event):
        """What would have to be awaited, too."""


@pytest.mark.parametrize(
    ("hook", "told"),
    [(_heard, "async def"), (_Heard(), "async def"), (5, "a function or None, got a value of")],
)
def test_a_hook_that_could_not_be_called_is_refused(hook, told):
    """An `on_event` that is `async def` would hear nothing, and so it is told at once."""
    with pytest.raises(TypeError, match=told):
        Client("a-key-1234", on_event=hook)


def test_events_are_enough_for_metrics(virtually, world):
    """Looks, faults, pauses and endings are told as they happen."""
    events = []

    async def main():
        async with world(on_event=events.append) as here:
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.script(
                "images:1", [said(429, message="x", retry_after=7), said(500), None]
            )
            await here.client.wait("images:1")
            kinds = [type(event).__name__ for event in events]
            assert ["PollFailed", "Paused", "PollFailed", "Paused", "Polled", "Completed"] == kinds
            assert 7.0 == events[1].seconds
            assert 3 == events[-1].polls

    virtually(main)


def test_fetch_looks_once(virtually, world):
    """One look gives one reply, or raises the fault."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=3.0)
            assert isinstance(await here.client.fetch("images:1"), Processing)
            here.wire.down = True
            with pytest.raises(TransportError) as caught:
                await here.client.fetch("images:1")
            assert not caught.value.may_have_been_sent
            assert Ticket("images", 1) == caught.value.ticket

    virtually(main)


def test_an_unknown_status_is_not_the_end(virtually, world, caplog):
    """A word that nobody has seen means 'not over yet', and is logged once."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.script("images:1", [said(status="pondering")] * 3 + [None])
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)
    assert 1 == caplog.text.count("pondering")


def test_a_source_that_repeats_itself_costs_no_second_look(virtually, world):
    """A ticket named again after it was settled is answered from the window's memory."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)

            async def source() -> AsyncIterator[str]:
                for _ in range(5):
                    yield "images:1"
                    await asyncio.sleep(10.0)

            assert 5 == len([each async for each in here.client.stream(source(), window=3)])
            assert 1 == len(here.wire.requests)

    virtually(main)


@pytest.mark.parametrize("rate", [0.5, 1.5, 3.0, 10.9, 40.0])
def test_a_rate_bounds_every_second(virtually, world, rate):
    """No second sees more looks than the rate, they are spread evenly, and all are made."""

    async def main():
        async with world(rate=rate, latency=0.01) as here:
            families = ["images", "video", "legacy_v3"]
            tickets = here.emulator.add_jobs(int(20 * rate), families)
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            moments = here.wire.moments
            most = math.ceil(rate)
            span = most / rate
            for number, moment in enumerate(moments):
                later = moments[number:]
                assert most >= sum(each < moment + span - 1e-6 for each in later)
            assert (len(moments) - 1) / rate == pytest.approx(moments[-1], rel=0.2)

    virtually(main)


def test_a_rate_lets_nobody_starve(virtually, world):
    """With far more due than may be looked at, every ticket gets its turn before any its third."""

    async def main():
        async with world(rate=10.0) as here:
            tickets = [here.emulator.add_job(("images", n), duration=1e6) for n in range(100)]
            await here.client.gather(tickets, timeout=15.0)
            assert {1, 2} == set(here.emulator.polls.values())

    virtually(main)


@pytest.mark.parametrize("rate", [20.0, None])
def test_families_share_what_may_be_looked_at(virtually, world, rate):
    """One ticket of a family does not wait for a thousand of another, be they on another host."""

    async def main():
        async with world(rate=rate, workers=2, latency=0.1, pace=Pace.fixed(1.0)) as here:
            many = [here.emulator.add_job(("images", n), duration=1e6) for n in range(1000)]
            waiting = asyncio.create_task(here.client.gather(many))
            await asyncio.sleep(20.0)
            for family in ("video", "legacy_v3"):
                here.emulator.add_job((family, 1), duration=0.0)
                began = asyncio.get_running_loop().time()
                await here.client.wait((family, 1))
                assert asyncio.get_running_loop().time() <= began + 1.0
            seen = here.emulator.polls.total()
            await asyncio.sleep(10.0)
            assert here.emulator.polls.total() >= seen + 150
            waiting.cancel()

    virtually(main)


def test_after_a_long_sleep_the_rate_holds(virtually, world):
    """A laptop that slept for an hour makes up for nothing in a burst."""

    async def main():
        async with world(rate=10.0, workers=5) as here:
            tickets = [here.emulator.add_job(("images", n), duration=3000.0) for n in range(200)]
            loop = asyncio.get_running_loop()
            waiting = asyncio.create_task(here.client.gather(tickets))
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            woke = loop.time()
            outcomes = await waiting
            assert all(isinstance(each, Success) for each in outcomes)
            first = [moment for moment in here.wire.moments if woke <= moment < woke + 1.0]
            assert 1 <= len(first) <= 10

    virtually(main)


@pytest.mark.parametrize("window", [10, 300])
def test_a_refused_key_costs_one_request_a_stream(virtually, world, window):
    """The rest of a long source is told of the refusal without asking for it again."""
    refused = said(401, status="error", message="Invalid API key")

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(1000, ["images", "video"])
            for ticket in tickets:
                here.emulator.script(ticket, [refused])
            outcomes = [each async for each in here.client.stream(tickets, window=window)]
            assert set(tickets) == {each.ticket for each in outcomes}
            assert {AuthenticationError} == {type(each.cause) for each in outcomes}
            assert {each.ticket for each in outcomes} == {each.cause.ticket for each in outcomes}
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_a_dead_host_ends_every_wait_in_the_end(virtually, world):
    """After the pace's `outage` without one answer, all waits end with the last fault."""

    async def main():
        async with world(pace=Pace(outage=600.0)) as here:
            tickets = here.emulator.add_jobs(1000, ["images", "video"])
            here.wire.down = True
            outcomes = await here.client.gather(tickets)
            assert {TransportError} == {type(each.cause) for each in outcomes}
            assert 600.0 <= asyncio.get_running_loop().time() <= 700.0
            here.wire.down = False
            assert isinstance(await here.client.wait(tickets[0]), Success)

    virtually(main)


def test_a_missing_key_disturbs_nobody_else(virtually, world):
    """A family without a key is refused to who asked for it; the others go on."""

    async def main():
        async with world(api_key=None, enterprise_key="e-key-1234567") as here:
            here.emulator.add_job("enterprise_video:1", duration=30.0)
            waiting = asyncio.create_task(here.client.wait("enterprise_video:1"))
            await asyncio.sleep(1.0)
            for ask in (here.client.wait, here.client.fetch):
                with pytest.raises(ValueError, match="standard key"):
                    await ask("images:1")
            assert isinstance(await waiting, Success)

    virtually(main)


def test_only_faults_in_a_row_count(virtually, world):
    """A reply that speaks of the job gives the whole budget back."""
    fault = said(500, message="down")

    async def main():
        async with world(pace=Pace(max_failures=3)) as here:
            here.emulator.add_job("images:1", duration=1.0)
            running = said(status="processing")
            here.emulator.script("images:1", [fault, fault, running] * 4 + [fault, fault, None])
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_a_timeout_says_what_was_in_the_way(virtually, world):
    """Whoever gives up on a server that is down hears so, also of tickets that had no look yet."""

    async def main():
        async with world() as here:
            here.wire.down = True
            outcomes = await here.client.gather(["images:1", "images:2", "images:3"], timeout=30.0)
            for outcome in outcomes:
                assert isinstance(outcome.cause, WaitTimeout)
                assert isinstance(outcome.cause.__cause__, TransportError)
                assert "All connection attempts failed" in str(outcome.cause)
            here.wire.down = False
            here.emulator.add_job("images:1", duration=1000.0)
            with pytest.raises(WaitTimeout) as caught:
                await here.client.wait("images:1", timeout=100.0)
            assert caught.value.__cause__ is None

    virtually(main)


def test_outcomes_come_before_the_error_of_their_source(virtually, world):
    """One ill-formed ticket at the end costs none of the results before it."""

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(50)
            stream = here.client.stream([*tickets, "imges:7", "images:8"])
            outcomes = [await anext(stream) for _ in tickets]
            with pytest.raises(ValueError, match="did you mean 'images'"):
                await anext(stream)
            assert set(tickets) == {each.ticket for each in outcomes}

    virtually(main)


def test_a_text_is_not_taken_for_its_letters(virtually, world):
    """Many tickets come in a list; a single text is refused with the way to write it."""

    async def main():
        async with world() as here:
            with pytest.raises(ValueError, match=r"such as \['images:1'\]"):
                await here.client.gather("images:1")
            with pytest.raises(ValueError, match="in a list"):
                await anext(here.client.stream("images:1"))

    virtually(main)


def test_a_timer_starts_workers_too(virtually, world):
    """While one look hangs, another ticket that becomes due is looked at in time."""

    async def main():
        async with world(pace=Pace(floor=1.0, growth=0.0, jitter=0.0)) as here:
            here.emulator.add_job("images:1", duration=0.0)
            await here.client.wait("images:1")
            here.emulator.add_job("images:2", duration=5.0)
            moment = asyncio.get_running_loop().time
            here.wire.latency = 50.0
            slow = asyncio.create_task(here.client.wait("video:1"))
            await asyncio.sleep(1.0)
            here.wire.latency = 0.0
            began = moment()
            await here.client.wait("images:2")
            assert moment() - began <= 5.5
            slow.cancel()
            await asyncio.wait([slow])

    virtually(main)


def test_an_exchange_that_is_cancelled_from_within_is_a_fault(virtually, world):
    """Somebody's HTTP that awaits a cancelled task ends no worker."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            sender = here.client.engine.status_client._sender
            whole, calls = sender._transport, []

            class Odd:
                async def exchange(self, request):
                    calls.append(request)
                    if len(calls) == 1:
                        raise asyncio.CancelledError
                    return await whole.exchange(request)

            sender._transport = Odd()
            assert isinstance(await here.client.wait("images:1"), Success)
            assert 2 == len(calls)
            sender._transport = whole

    virtually(main)


@pytest.mark.parametrize("victim", ["modelslab_async poller", "Poller._run_worker"])
def test_a_poller_that_is_cancelled_hangs_nobody(virtually, world, victim):
    """Whoever cancels all tasks of a loop ends the waits, those of now and those to come."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(5.0)
            for task in asyncio.all_tasks():
                if victim in task.get_name():
                    task.cancel()
            with pytest.raises((ClientClosed, RuntimeError)):
                await waiting
            with pytest.raises((ClientClosed, RuntimeError)):
                await here.client.wait("images:2")

    virtually(main)


def test_a_source_that_is_cancelled_hangs_nobody(virtually, world):
    """A source that awaits a cancelled task ends its stream with an error, and is closed."""
    closed = []

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=3.0)

            async def source():
                try:
                    yield "images:1"
                    raise asyncio.CancelledError
                finally:
                    closed.append(True)

            stream = here.client.stream(source())
            assert isinstance(await anext(stream), Success)
            with pytest.raises(RuntimeError, match="source of tickets was cancelled"):
                await anext(stream)

    virtually(main)
    assert [True] == closed


def test_silence_is_not_counted_while_nobody_asks(virtually, world):
    """Two blips with hours of rest, or of rate limits, between them are no outage."""
    blip = said(503, message="down")

    async def main():
        async with world(pace=Pace(outage=600.0)) as here:
            here.emulator.add_job("images:1", duration=0.0)
            here.emulator.script("images:1", [blip, None])
            with pytest.raises(WaitTimeout):
                await here.client.wait("images:1", timeout=0.5)
            await asyncio.sleep(7200.0)
            tickets = [here.emulator.add_job(("images", n), duration=0.0) for n in range(2, 50)]
            here.emulator.script(tickets[0], [blip, said(429, retry_after=300)] * 8 + [None])
            outcomes = await here.client.gather(tickets)
            assert {Success} == {type(each) for each in outcomes}

    virtually(main)


def test_tiers_that_share_a_key_share_its_fate(virtually, world):
    """Without an enterprise key the standard one is refused, and paused, for both."""
    refused = said(401, status="error", message="no")

    async def main():
        async with world() as here:
            here.emulator.add_job("enterprise_interior:1", duration=60.0)
            here.emulator.add_job("interior:1", duration=60.0)
            here.emulator.script("interior:1", [None, refused])
            ends = await here.client.gather(["enterprise_interior:1", "interior:1"])
            assert {AuthenticationError} == {type(end.cause) for end in ends}

    virtually(main)


def test_closing_survives_a_cancelled_close(virtually, world):
    """A close that is cancelled half way goes on, and who closes again waits for its end."""

    async def main():
        async with world() as here:
            waits = [asyncio.create_task(here.client.wait(("images", n))) for n in range(2000)]
            await asyncio.sleep(0.0)
            await asyncio.sleep(0.0)
            closing = asyncio.create_task(here.client.aclose())
            await asyncio.sleep(0.0)
            closing.cancel()
            await here.client.aclose()
            ends = await asyncio.gather(*waits, return_exceptions=True)
            assert {ClientClosed} == {type(end) for end in ends}

    virtually(main)


def test_each_asking_has_its_own_time(virtually, world):
    """A ticket that is named again later is waited for as long as any other."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            here.emulator.script("images:2", [said(400, status="error", message="x"), None])
            here.emulator.add_job("images:2", duration=150.0)

            async def source():
                yield "images:1"
                yield "images:2"
                await asyncio.sleep(90.0)
                yield "images:2"

            outcomes = [each async for each in here.client.stream(source(), timeout=100.0)]
            kinds = [type(getattr(each, "cause", each)) for each in outcomes]
            assert [InvalidRequest, WaitTimeout, Success] == kinds

    virtually(main)


def test_the_longest_hint_counts(virtually, world):
    """Of several answers that name a time to wait, the longest is kept to."""

    async def main():
        async with world(latency=0.1) as here:
            tickets = [here.emulator.add_job(("images", n), duration=60.0) for n in range(10)]
            for number, ticket in enumerate(tickets):
                hint = 1 if number == 1 else 60
                here.emulator.script(ticket, [None, said(429, retry_after=hint), None])
            await here.client.gather(tickets)
            moments = here.wire.moments
            assert max(late - early for early, late in pairwise(moments)) >= 59.0

    virtually(main)
