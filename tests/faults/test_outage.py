"""A server that is down for half an hour, and a machine that is suspended for an hour."""

import asyncio
import json
import random
from collections import Counter

import pytest
from everyday import cases
from virtual_time import JumpingLoop

from modelslab_async import Client, Pace, Response, Success, TransportError, Unresolved, WaitTimeout

STEP_S = 30.0
TICKET_COUNT = 10_000
OUTAGE_START_S, OUTAGE_END_S = 180.0, 1980.0


class Server:
    """A server with a latency, which is down for a while, and records when it is polled."""

    def __init__(self, latency, down=(1e18, 1e18), success_from=1e18, failure="refuses"):
        self.latency = latency
        self.down = down
        self.success_from = success_from
        self.failure = failure
        self.poll_times = []
        self.in_flight = self.max_in_flight = 0
        self.rng = random.Random(1)

    async def exchange(self, _request):
        clock = asyncio.get_running_loop().time
        self.poll_times.append(clock())
        self.in_flight += 1
        self.max_in_flight = max(self.in_flight, self.max_in_flight)
        try:
            if self.down[0] <= clock() < self.down[1]:
                if self.failure == "hangs":
                    await asyncio.sleep(1e6)
                raise TransportError("connection refused", may_have_been_sent=False)
            await asyncio.sleep(self.latency * (0.5 + self.rng.random()))
        finally:
            self.in_flight -= 1
        body = {"status": "processing", "output": ""}
        if clock() >= self.success_from:
            body = {"status": "success", "output": ["https://x.example/1.png"]}
        return Response(status_code=200, body=json.dumps(body).encode())

    def count_between(self, start, end):
        """Count the polls that started in this time."""
        return sum(start <= at < end for at in self.poll_times)

    def max_per_second(self, start, end):
        """Return the most polls that started within one second of this time."""
        return max(Counter(int(each) for each in self.poll_times if start <= each < end).values())


def run_outage(*, latency=0.05, failure="refuses", rate=None, count=TICKET_COUNT):
    """Wait for many tickets, each polled every 15 to 30 s. The server is down for half an hour."""
    # Jitter decides when the return is noticed. With some seeds no burst could happen anyway.
    random.seed(2)
    server = Server(
        latency,
        down=(OUTAGE_START_S, OUTAGE_END_S),
        success_from=OUTAGE_END_S + 100.0,
        failure=failure,
    )
    pace = Pace(floor=STEP_S, age_fraction=0.0, ceiling=STEP_S, jitter=0.5)

    async def wait():
        async with Client("a-key-1234", http=server, pace=pace, workers=64, rate=rate) as client:
            return await client.gather([("realtime", number) for number in range(count)])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return server, runner.run(wait())


@pytest.fixture(
    scope="module",
    params=[
        ("refuses", 2000),
        ("hangs", 2000),
        pytest.param(("refuses", TICKET_COUNT), marks=pytest.mark.thorough),
    ],
    ids=lambda of: f"{of[0]}-{of[1]}",
)
def outage(request):
    """Run one outage, for all tests that count its polls. It allows over 1,000 polls a second."""
    failure, count = request.param
    return run_outage(failure=failure, count=count)


def test_outage_loses_no_ticket(outage):
    """Every ticket that waited through the outage ends with its result."""
    _, outcomes = outage
    assert {Success} == {type(each) for each in outcomes}


def test_few_polls_are_sent_in_an_outage(outage):
    """After its first 30 seconds, an outage costs at most a fiftieth of the normal rate."""
    server, outcomes = outage
    normal = server.count_between(OUTAGE_START_S - 90.0, OUTAGE_START_S) / 90.0
    assert normal == pytest.approx(len(outcomes) / (STEP_S * 0.75), rel=0.1)
    down = server.count_between(OUTAGE_START_S + STEP_S, OUTAGE_END_S) / (
        OUTAGE_END_S - OUTAGE_START_S - STEP_S
    )
    assert down <= normal / 50


def test_normal_rate_is_back_soon_after_an_outage(outage):
    """The client notices the return within 90 s, and polls all tickets within two steps."""
    server, outcomes = outage
    # Probes are at most a minute apart, and a hanging one takes 30 s to time out.
    back = next(at for at in server.poll_times if at >= OUTAGE_END_S)
    assert back <= OUTAGE_END_S + 90.0
    assert server.count_between(back, back + 2 * STEP_S) >= len(outcomes)


def test_outage_is_followed_by_no_burst(outage):
    """No second after the return has many more polls than the busiest second before the outage."""
    server, _ = outage
    before = server.max_per_second(OUTAGE_START_S - 90.0, OUTAGE_START_S)
    assert server.max_per_second(OUTAGE_END_S, OUTAGE_END_S + 95.0) <= 1.5 * before


def test_small_batch_survives_a_server_that_hangs():
    """Few polls are sent beside hanging ones, so that none of 20 tickets has too many failures."""
    server, outcomes = run_outage(failure="hangs", count=20)
    assert {Success} == {type(each) for each in outcomes}
    normal = server.count_between(OUTAGE_START_S - 90.0, OUTAGE_START_S) / 90.0
    down = server.count_between(OUTAGE_START_S + STEP_S, OUTAGE_END_S) / (
        OUTAGE_END_S - OUTAGE_START_S - STEP_S
    )
    assert down <= normal / 10


@pytest.mark.parametrize(("rate", "count"), cases([(50, 1000)], [(150, 3000)]))
def test_rate_limits_the_polls_after_an_outage(rate, count):
    """With a rate, no second has more polls than that, even after the return."""
    server, outcomes = run_outage(rate=rate, count=count)
    assert {Success} == {type(each) for each in outcomes}
    # A second of the clock may overlap two seconds of the rate limit.
    assert server.max_per_second(0.0, OUTAGE_END_S + 600.0) <= rate + 1


@pytest.mark.parametrize("latency", [0.01, 2.0])
def test_suspended_machine_loses_no_ticket(latency):
    """After a suspended hour, all tickets are polled again, by no more than all workers.

    Polls in flight at the suspend are read if they were answered, and count as failures if not.
    """
    server = Server(latency, success_from=5000.0)

    async def suspend():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP_S), workers=16) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(200)])
            )
            await asyncio.sleep(100.0)
            suspended_at = loop.time()
            loop.now += 3600.0
            outcomes = await waiting
            after_wake_up = [at for at in server.poll_times if at > suspended_at + 3000.0]
            # All 200 are polled as fast as 16 workers can, after a pause of one step.
            assert len([at for at in after_wake_up if at < after_wake_up[0] + 3 * STEP_S]) >= 200
            return outcomes

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(suspend())
    assert {Success} == {type(each) for each in outcomes}
    assert 16 == server.max_in_flight


@pytest.mark.parametrize("count", cases([1000], [3000]))
def test_suspended_machine_causes_no_burst(count):
    """All polls that fell due in a suspended hour are sent within a step, at the usual rate."""
    server = Server(0.05, success_from=5000.0)
    pace = Pace(floor=STEP_S, age_fraction=0.0, ceiling=STEP_S, jitter=0.5)

    async def suspend():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=pace, workers=64) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(count)])
            )
            await asyncio.sleep(200.0)
            loop.now += 3600.0
            await asyncio.sleep(200.0)
            waiting.cancel()
            await asyncio.wait([waiting])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(suspend())
    assert server.max_per_second(3800.0, 4000.0) <= 1.5 * server.max_per_second(100.0, 200.0)
    assert server.count_between(3800.0, 3800.0 + STEP_S + 1.0) >= count


def test_network_lost_before_a_suspend_loses_no_ticket():
    """The suspended time does not count as an outage of the network."""
    server = Server(0.1, down=(85.0, 3720.0), success_from=5000.0)

    async def suspend():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP_S)) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(200)])
            )
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            return await waiting

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(suspend())
    assert {Success} == {type(each) for each in outcomes}


def test_timeout_expires_while_the_machine_is_suspended():
    """The wait ends as soon as the machine wakes up."""
    server = Server(0.1)

    async def suspend():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP_S)) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(50)], timeout=600.0)
            )
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            outcomes = await waiting
            assert loop.time() < 3720.0
            return outcomes

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(suspend())
    assert {Unresolved} == {type(each) for each in outcomes}
    assert {WaitTimeout} == {type(each.cause) for each in outcomes}


def test_slow_poll_delays_no_other_ticket():
    """While one poll hangs, a new worker polls the other ticket."""

    async def wait():
        loop = asyncio.get_running_loop()
        loop_errors = []
        loop.set_exception_handler(lambda _loop, context: loop_errors.append(context["message"]))
        poll_times = []

        class Hanging:
            async def exchange(self, request):
                if request.url.endswith("/2"):
                    poll_times.append(loop.time())
                elif loop.time() > 1.0:
                    await asyncio.sleep(20.0)
                return Response(status_code=200, body=b'{"status":"processing"}')

        async with Client("a-key-1234", http=Hanging(), pace=Pace.fixed(2.0)) as client:
            first = asyncio.create_task(client.wait("realtime:1"))
            # By now the worker is idle, so it takes the second ticket too.
            await asyncio.sleep(1.0)
            second = asyncio.create_task(client.wait("realtime:2"))
            await asyncio.sleep(20.0)
            first.cancel()
            second.cancel()
            await asyncio.wait([first, second])
        assert [] == loop_errors
        assert [1.0, 3.0, 5.0, 7.0] == pytest.approx(poll_times[:4])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(wait())


def main():
    """Print figures: `PYTHONPATH=tests python tests/faults/test_outage.py`."""
    start, end = OUTAGE_START_S, OUTAGE_END_S
    for failure in ("refuses", "hangs"):
        for latency in (0.02, 0.1):
            server, outcomes = run_outage(latency=latency, failure=failure)
            back = next(at for at in server.poll_times if at >= end)
            print(  # noqa: T201
                f"{failure}, latency {latency}: before, "
                f"{server.count_between(start - 90, start) / 90:.0f} polls a second, at most "
                f"{server.max_per_second(start - 90, start)}; in the outage, "
                f"{server.count_between(start, start + 30)} polls in 30 s, then "
                f"{server.count_between(start + 30, end)} in 1770 s; noticed after "
                f"{back - end:.1f} s; then {server.count_between(back, back + STEP_S)} polls in "
                f"30 s, at most {server.max_per_second(end, end + 95)} a second; "
                f"{Counter(type(each).__name__ for each in outcomes)}"
            )


if __name__ == "__main__":
    main()
