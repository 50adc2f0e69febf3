"""wait, gather, watch and fetch: what callers get for single tickets and lists."""

import asyncio
import json
from itertools import pairwise

import pytest
from everyday import cases

from modelslab_async import (
    Failed,
    GenerationFailed,
    Pace,
    Processing,
    Success,
    Ticket,
    TicketNotFound,
    TransportError,
    Unresolved,
    WaitTimeout,
)
from modelslab_async.emulator import Jobs, ScriptedReply


def scripted_reply(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


def test_wait_returns_success_with_output(virtually, world):
    """`wait` returns the output of a job that succeeds."""

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
def test_ticket_may_have_any_form(virtually, world, ticket):
    """A `Ticket`, its text and a pair all name the same generation."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            assert "images:1" == str((await here.client.wait(ticket)).ticket)
            assert isinstance(await here.client.fetch(ticket), Success)

    virtually(main)


def test_failed_job_raises_with_server_message(virtually, world):
    """`wait` raises the failure of a job with the server's words."""

    async def main():
        async with world() as here:
            here.emulator.add_job("video:1", duration=3.0, fails=True)
            with pytest.raises(GenerationFailed, match="Try Again") as caught:
                await here.client.wait("video:1")
            assert isinstance(caught.value.reply, Failed)

    virtually(main)


def test_unknown_id_is_polled_again_within_grace(virtually, world):
    """An id that is not known yet is polled again; one that stays unknown is not found."""

    async def main():
        async with world() as here:
            asyncio.get_running_loop().call_later(2.0, here.emulator.add_job, "realtime:1")
            assert isinstance(await here.client.wait("realtime:1"), Success)
            with pytest.raises(TicketNotFound):
                await here.client.wait("realtime:2")

    virtually(main)


def test_timeout_raises_with_ticket_and_last_reply(virtually, world):
    """After the timeout the error is a TimeoutError with the ticket and the last reply."""

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


def test_gather_keeps_order_and_every_outcome(virtually, world):
    """Outcomes come in the order of the tickets, whether these succeed or fail."""

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


def test_gather_with_malformed_ticket_sends_nothing(virtually, world):
    """One malformed ticket raises before the first request."""

    async def main():
        async with world() as here:
            with pytest.raises(ValueError, match="did you mean 'images'"):
                await here.client.gather(["images:1", "imags:2"])
            with pytest.raises(ValueError, match="family:id"):
                await here.client.gather(["images:1", "2"])
            assert [] == here.wire.requests

    virtually(main)


@pytest.mark.parametrize(
    ("how", "count"),
    cases([("gather", 250), ("stream", 250)], [("gather", 1000), ("stream", 1000)]),
)
def test_duplicate_tickets_cost_no_more_polls(virtually, world, how, count):
    """Hundreds of tickets that are given twice cost no more polls than given once."""

    def polls(times):
        async def main():
            async with world(emulated={"jobs": Jobs(seed=1)}) as here:
                tickets = here.emulator.add_jobs(count) * times
                if how == "gather":
                    outcomes = await here.client.gather(tickets)
                else:
                    outcomes = [each async for each in here.client.stream(tickets)]
                assert len(tickets) == len(outcomes)
                assert all(isinstance(each, Success) for each in outcomes)
                # Jitter shortens a step by 10 % at most; a second poller would double the polls.
                return here.wire.requests

        return len(virtually(main))

    assert polls(2) == pytest.approx(polls(1), rel=0.02)


def test_watch_yields_each_change_then_outcome(virtually, world):
    """Each new reply is yielded once, then the outcome."""

    async def main():
        async with world(pace=Pace(jitter=0.0)) as here:
            here.emulator.add_job("training:abc", duration=40.0)
            updates = [each async for each in here.client.watch("training:abc")]
            stages = [each.status for each in updates[:-1]]
            assert len(stages) == len(set(stages)) >= 5
            assert "deploying_gpu" == stages[0]
            assert isinstance(updates[-1], Success)

    virtually(main)


def test_late_watch_starts_with_last_reply(virtually, world):
    """A later watcher gets the last reply at once, without a poll."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(500.0)
            sent = len(here.wire.requests)
            updates = await anext(aiter(here.client.watch("images:1")))
            assert isinstance(updates, Processing)
            assert sent == len(here.wire.requests)
            waiting.cancel()
            await asyncio.wait([waiting])

    virtually(main)


def test_cancelled_wait_leaves_other_wait_alone(virtually, world):
    """Of two waits for one ticket, the other one still gets its result."""

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


def test_cancelled_wait_keeps_request_in_flight(virtually, world):
    """A poll in flight is finished after its wait is cancelled, and a new wait joins it."""

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


def test_workers_bound_polls_in_flight(virtually, world):
    """No more requests are in flight than there are workers."""

    async def main():
        async with world(latency=0.5, workers=7) as here:
            await here.client.gather(here.emulator.add_jobs(200))
            assert 7 == here.wire.most_flying

    virtually(main)


def test_polls_are_one_step_apart(virtually, world):
    """Two polls of a ticket are at least one step of the pace apart."""

    async def main():
        async with world(pace=Pace(floor=2.0, growth=0.0, age_fraction=0.1, jitter=0.0)) as here:
            here.emulator.add_job("images:1", duration=200.0)
            await here.client.wait("images:1")
            moments = here.wire.moments
            for early, late in pairwise(moments):
                assert late - early >= max(2.0, 0.1 * early) - 1e-6

    virtually(main)


def test_fetch_polls_once(virtually, world):
    """One poll gives one reply, or raises its error."""

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


def test_unknown_status_means_still_running(virtually, world, caplog):
    """A status that is not in the table means "not done yet", and is logged once."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=3.0)
            here.emulator.script("images:1", [scripted_reply(status="pondering")] * 3 + [None])
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)
    assert 1 == caplog.text.count("pondering")


def test_timeout_names_last_error(virtually, world):
    """A timeout behind a dead server names its error, also for tickets that were never polled."""

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


def test_text_is_no_list_of_tickets(virtually, world):
    """A single text in place of a list is refused, and the message shows what a list looks like."""

    async def main():
        async with world() as here:
            with pytest.raises(ValueError, match=r"such as \['images:123'\]"):
                await here.client.gather("images:1")
            with pytest.raises(ValueError, match="in a list"):
                await anext(here.client.stream("images:1"))

    virtually(main)


def test_hanging_poll_does_not_delay_others(virtually, world):
    """While one poll hangs, another ticket is polled when it is due."""

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
            started = moment()
            await here.client.wait("images:2")
            assert moment() - started <= 5.5
            slow.cancel()
            await asyncio.wait([slow])

    virtually(main)
