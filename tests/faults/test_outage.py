"""Long troubles: a server that is away for half an hour, and a machine that sleeps for one."""

import asyncio
import json
import random
from collections import Counter

import pytest
from virtual_time import JumpingLoop

from modelslab_async import Client, Pace, Response, Success, TransportError, Unresolved, WaitTimeout

pytestmark = pytest.mark.thorough

STEP = 30.0
COUNT = 10_000
BEGIN, END = 180.0, 1980.0


class Server:
    """A server with a latency, which writes down when it is asked, and is away for a while."""

    def __init__(self, latency, away=(1e18, 1e18), until=1e18, dies="refuses"):
        self.latency = latency
        self.away = away
        self.until = until
        self.dies = dies
        self.moments = []
        self.flying = self.most_flying = 0
        self.dice = random.Random(1)

    async def exchange(self, _request):
        clock = asyncio.get_running_loop().time
        self.moments.append(clock())
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            if self.away[0] <= clock() < self.away[1]:
                if self.dies == "hangs":
                    await asyncio.sleep(1e6)
                raise TransportError("connection refused", may_have_been_sent=False)
            await asyncio.sleep(self.latency * (0.5 + self.dice.random()))
        finally:
            self.flying -= 1
        said = {"status": "processing", "output": ""}
        if clock() >= self.until:
            said = {"status": "success", "output": ["https://x.example/1.png"]}
        return Response(status_code=200, body=json.dumps(said).encode())

    def between(self, start, end):
        """How many looks were begun then."""
        return sum(start <= moment < end for moment in self.moments)

    def busiest(self, start, end):
        """How many looks were begun in the busiest second then."""
        return max(Counter(int(each) for each in self.moments if start <= each < end).values())


def through_an_outage(*, latency=0.05, dies="refuses", rate=None, count=COUNT):
    """Wait for many tickets, each looked at every 15 to 30 s; half an hour the server is away."""
    server = Server(latency, away=(BEGIN, END), until=END + 100.0, dies=dies)
    pace = Pace(floor=STEP, age_fraction=0.0, ceiling=STEP, jitter=0.5)

    async def wait():
        async with Client("a-key-1234", http=server, pace=pace, workers=64, rate=rate) as client:
            return await client.gather([("realtime", number) for number in range(count)])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return server, runner.run(wait())


@pytest.fixture(scope="module", params=[("refuses", COUNT), ("hangs", 2000)], ids=lambda of: of[0])
def outage(request):
    """One outage, for all that is to be counted of it; more than 1000 looks a second fit in."""
    dies, count = request.param
    return through_an_outage(dies=dies, count=count)


def test_an_outage_loses_no_ticket(outage):
    """Every ticket that waited through the outage ends with its result."""
    _, outcomes = outage
    assert {Success} == {type(each) for each in outcomes}


def test_few_looks_go_out_while_the_server_is_away(outage):
    """After its first 30 seconds an outage costs at most a fiftieth of the normal rate."""
    server, outcomes = outage
    normal = server.between(BEGIN - 90.0, BEGIN) / 90.0
    assert normal == pytest.approx(len(outcomes) / (STEP * 0.75), rel=0.1)
    away = server.between(BEGIN + STEP, END) / (END - BEGIN - STEP)
    assert away <= normal / 50


def test_after_an_outage_the_normal_rate_is_back_soon(outage):
    """The return is noticed within a minute and a look, and one step later all were looked at."""
    server, outcomes = outage
    # Probes are at most a minute apart, and one that hangs takes 30 s to end.
    back = next(moment for moment in server.moments if moment >= END)
    assert back <= END + 90.0
    assert server.between(back, back + 2 * STEP) >= len(outcomes)


def test_after_an_outage_there_is_no_burst(outage):
    """No second after the return has many more looks than the busiest second before the outage."""
    server, _ = outage
    before = server.busiest(BEGIN - 90.0, BEGIN)
    assert server.busiest(END, END + 95.0) <= 1.5 * before


def test_a_small_batch_outlasts_a_server_that_hangs():
    """Few looks go out beside those that hang, so that none of 20 tickets has too many faults."""
    server, outcomes = through_an_outage(dies="hangs", count=20)
    assert {Success} == {type(each) for each in outcomes}
    normal = server.between(BEGIN - 90.0, BEGIN) / 90.0
    away = server.between(BEGIN + STEP, END) / (END - BEGIN - STEP)
    assert away <= normal / 10


def test_a_rate_bounds_the_return_from_an_outage():
    """With a rate given, no second has more looks than that: not at the return either."""
    server, outcomes = through_an_outage(rate=150, count=3000)
    assert {Success} == {type(each) for each in outcomes}
    # A second by the clock may hold the end of one and the beginning of another.
    assert server.busiest(0.0, END + 600.0) <= 151


@pytest.mark.parametrize("latency", [0.01, 2.0])
def test_after_a_sleep_of_the_machine_nothing_is_lost(latency):
    """When the clock has jumped an hour, everything due is looked at, by no more than all workers.

    The looks that were on their way then are read if they were answered, and are faults if not.
    """
    server = Server(latency, until=5000.0)

    async def sleep():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP), workers=16) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(200)])
            )
            await asyncio.sleep(100.0)
            asleep = loop.time()
            loop.now += 3600.0
            outcomes = await waiting
            awake = [moment for moment in server.moments if moment > asleep + 3000.0]
            # All 200 are asked about as soon as 16 at a time can be, after a pause of a step.
            assert len([moment for moment in awake if moment < awake[0] + 3 * STEP]) >= 200
            return outcomes

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(sleep())
    assert {Success} == {type(each) for each in outcomes}
    assert 16 == server.most_flying


def test_after_a_sleep_of_the_machine_there_is_no_burst():
    """What fell due in an hour of sleep goes out within a step, as it does in any other one."""
    server = Server(0.05, until=5000.0)
    pace = Pace(floor=STEP, age_fraction=0.0, ceiling=STEP, jitter=0.5)

    async def sleep():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=pace, workers=64) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(3000)])
            )
            await asyncio.sleep(200.0)
            loop.now += 3600.0
            await asyncio.sleep(200.0)
            waiting.cancel()
            await asyncio.wait([waiting])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(sleep())
    assert server.busiest(3800.0, 4000.0) <= 1.5 * server.busiest(100.0, 200.0)
    assert server.between(3800.0, 3800.0 + STEP + 1.0) >= 3000


def test_a_sleep_that_begins_without_a_network_loses_nothing():
    """A network that goes just before the machine sleeps was not silent for all that time."""
    server = Server(0.1, away=(85.0, 3720.0), until=5000.0)

    async def sleep():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP)) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(200)])
            )
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            return await waiting

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(sleep())
    assert {Success} == {type(each) for each in outcomes}


def test_after_a_sleep_of_the_machine_patience_has_ended():
    """A timeout that passed while the machine slept ends its wait as soon as it wakes."""
    server = Server(0.1)

    async def sleep():
        loop = asyncio.get_running_loop()
        async with Client("a-key-1234", http=server, pace=Pace.fixed(STEP)) as client:
            waiting = asyncio.create_task(
                client.gather([("realtime", number) for number in range(50)], timeout=600.0)
            )
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            outcomes = await waiting
            assert loop.time() < 3720.0
            return outcomes

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        outcomes = runner.run(sleep())
    assert {Unresolved} == {type(each) for each in outcomes}
    assert {WaitTimeout} == {type(each.cause) for each in outcomes}


def test_a_slow_look_holds_up_no_other():
    """While one look hangs, the other ticket is looked at by a worker that is started for it."""

    async def wait():
        loop = asyncio.get_running_loop()
        said = []
        loop.set_exception_handler(lambda _loop, context: said.append(context["message"]))
        moments = []

        class Hanging:
            async def exchange(self, request):
                if request.url.endswith("/2"):
                    moments.append(loop.time())
                elif loop.time() > 1.0:
                    await asyncio.sleep(20.0)
                return Response(status_code=200, body=b'{"status":"processing"}')

        async with Client("a-key-1234", http=Hanging(), pace=Pace.fixed(2.0)) as client:
            first = asyncio.create_task(client.wait("realtime:1"))
            # By now its worker rests; it takes the second ticket too.
            await asyncio.sleep(1.0)
            second = asyncio.create_task(client.wait("realtime:2"))
            await asyncio.sleep(20.0)
            first.cancel()
            second.cancel()
            await asyncio.wait([first, second])
        assert [] == said
        assert [1.0, 3.0, 5.0, 7.0] == pytest.approx(moments[:4])

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(wait())


def main():
    """Print figures: `PYTHONPATH=tests python tests/faults/test_outage.py`."""
    for dies in ("refuses", "hangs"):
        for latency in (0.02, 0.1):
            server, outcomes = through_an_outage(latency=latency, dies=dies)
            back = next(moment for moment in server.moments if moment >= END)
            print(  # noqa: T201
                f"{dies}, latency {latency}: a normal second has "
                f"{server.between(BEGIN - 90, BEGIN) / 90:.0f} looks, the busiest "
                f"{server.busiest(BEGIN - 90, BEGIN)}; away: "
                f"{server.between(BEGIN, BEGIN + 30)} in 30 s, then "
                f"{server.between(BEGIN + 30, END)} in 1770 s; back after {back - END:.1f} s; then "
                f"{server.between(back, back + STEP)} in 30 s, the busiest second "
                f"{server.busiest(END, END + 95)}; "
                f"{Counter(type(each).__name__ for each in outcomes)}"
            )


if __name__ == "__main__":
    main()
