"""
A whole poller against the emulator on virtual time, with faults drawn from a seed.

    python tests/faults/simulate.py --seeds 0:300

The same seed plays the same story: latencies, lost, late, stale and repeated replies, answers that
are none, rate limits, outages, a refused key, a machine that sleeps; callers who come and go, and
come back. Of each story is checked what `simulated_rules.py` reckons: a ticket settles once for all
who wait for it, and rightly; no look goes out before it is due, after a fault neither, nor in a
pause, nor beside another one where no answer came yet. And that no more looks are on their way
than there are workers, that every caller is given what he asked for, each ticket as often as he
asked and with the end that its job had, and that nothing is sent after the end. A story that goes
wrong prints its seed.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

# What lies in the folder above a script is not found by itself.
sys.path.append(str(Path(__file__).parents[1]))

from faults.simulated_network import LOOK, Network
from faults.simulated_rules import Rules
from virtual_time import JumpingLoop

from modelslab_async import (
    AuthenticationError,
    Client,
    ClientClosed,
    Failed,
    ModelsLabError,
    Outcome,
    Pace,
    Processing,
    Success,
    Ticket,
    TransientError,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._polling.poller import Poller
from modelslab_async.emulator import Emulator, Faults, Jobs

KEY = "a-simulated-key-1234"
FAMILIES = ("images", "video", "realtime", "voice", "training", "workflows", "legacy_v3")


class Story:
    """One seed: what is planted, who waits for it and how, and what goes wrong."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = dice = random.Random(seed)
        self.pace = Pace(
            floor=dice.choice((0.5, 1.0, 3.0)),
            age_fraction=dice.choice((0.0, 0.1, 0.3)),
            ceiling=dice.choice((10.0, 60.0, 300.0)),
            jitter=dice.choice((0.0, 0.1, 0.5)),
            max_failures=dice.choice((3, 10, 30)),
            grace=dice.choice((0.0, 5.0, 20.0)),
        )
        self.workers = dice.choice((1, 2, 7, 32))
        self.count = dice.choice((1, 5, 40, 150))
        self.rate = dice.choice((None, None, 0.7, 5.0))
        self.rules = Rules(self.pace, self.rate)
        self.given: defaultdict[Ticket, list[Outcome]] = defaultdict(list)

    async def play(self) -> None:
        """Play it, and check everything that must hold."""
        loop, dice = asyncio.get_running_loop(), self.dice
        emulator = Emulator(jobs=Jobs(duration=(0.0, 90.0), seed=self.seed), clock=loop.time)
        self.add_job(emulator)
        self.network = network = self.network_to(emulator)
        client = self.client(network)
        close_at = dice.choice((None, None, None, dice.uniform(0.0, 100.0)))
        tasks = [asyncio.create_task(each) for each in self.callers(client)]
        if dice.random() < 0.2:
            # The machine sleeps: what was to happen meanwhile is all due at once.
            loop.call_later(dice.uniform(0.0, 60.0), self.sleep, loop, dice.uniform(1.0, 3600.0))
        if close_at is not None:
            await asyncio.wait(tasks, timeout=close_at)
            self.rules.closing = True
            await client.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self.rules.closing = True
        await client.aclose()
        sent = emulator.request_count
        await asyncio.sleep(10_000.0)
        self.check(results, closed_early=close_at is not None)
        assert sent == emulator.request_count, "something was sent after the end"

    def network_to(self, emulator: Emulator) -> Network:
        dice = self.dice
        network = Network(
            emulator,
            random.Random(self.seed + 1),
            share=dice.choice((0.0, 0.1, 0.3, 0.6)),
            latency=dice.choice((0.0, 0.2, 2.0, 2.0)),
            fault_settings=Faults(hint=dice.choice((0.0, 3.0, 40.0))),
        )
        if dice.random() < 0.3:
            network.down_from = dice.uniform(0.0, 60.0)
            network.down_until = network.down_from + dice.uniform(1.0, 600.0)
        if dice.random() < 0.3:
            network.refusals = sorted(dice.uniform(0.5, 40.0) for _ in range(3))
        return network

    def client(self, network: Network) -> Client:
        """A client whose poller is watched, and has the luck of the seed."""
        client = Client(
            KEY,
            http=network,
            pace=self.pace,
            workers=self.workers,
            timeout=self.dice.choice((3.0, 30.0)),
            on_event=self.rules.heard,
        )
        status_client = client.engine.status_client
        status_client.poll = self.rules.looking(status_client.poll, LOOK.set)
        client.engine.poller = Poller(
            self.rules.schedule(),
            status_client,
            workers=self.workers,
            listeners=client.engine.listeners,
            jitter=random.Random(self.seed + 2).random,
        )
        return client

    def sleep(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        assert isinstance(loop, JumpingLoop)
        loop.now += seconds

    def add_job(self, emulator: Emulator) -> None:
        """Start the jobs; the truth about each is what the emulator would say at the end."""
        dice = self.dice
        self.tickets = emulator.add_jobs(self.count, FAMILIES)
        self.fates = {}
        for ticket in self.tickets:
            fails = dice.random() < 0.2
            self.fates[ticket] = fails
            emulator.add_job(ticket, duration=dice.choice((0.0, 1.0, 30.0, 300.0)), fails=fails)

    def callers(self, client: Client) -> Iterator[Any]:
        """Some wait, some gather, some stream, some leave early, many share their tickets."""
        dice = self.dice
        for _ in range(dice.randint(1, 5)):
            some = dice.choices(self.tickets, k=dice.randint(1, len(self.tickets)))
            timeout = dice.choice((None, None, dice.uniform(0.0, 200.0)))
            comes = dice.choice((0.0, 0.0, dice.uniform(0.0, 90.0)))
            match dice.choice(("wait", "watch", "gather", "stream", "leave", "cancel")):
                case "wait":
                    again = dice.choice((0, 3))
                    for ticket in some[:20]:
                        yield self.wait(client, ticket, timeout, comes, again)
                case "watch":
                    for ticket in some[:5]:
                        yield self.watch(client, ticket, comes)
                case "gather":
                    yield self.gather(client, some, timeout, comes)
                case "stream":
                    yield self.stream(client, some, timeout, comes, len(some))
                case "leave":
                    yield self.stream(client, some, timeout, comes, dice.randint(0, len(some)))
                case _:
                    yield self.cancelled(client, some, comes, dice.uniform(0.0, 60.0))

    async def wait(
        self, client: Client, ticket: Ticket, timeout: float | None, comes: float, again: int
    ) -> None:
        """Wait, and once more if that ended without an end of the job."""
        await asyncio.sleep(comes)
        try:
            self.given[ticket].append(await client.wait(ticket, timeout=timeout))
        except ModelsLabError as error:
            if self.raised(ticket, error) and again and not self.rules.closing:
                await self.wait(client, ticket, timeout, 0.0, again - 1)

    def raised(self, ticket: Ticket, error: ModelsLabError) -> bool:
        """Note what `wait` raises, which is about its own ticket; whether the job goes on."""
        closed = isinstance(error, ClientClosed) and self.rules.closing
        assert closed or ticket == error.ticket, f"{error!r} is not about {ticket}"
        reply = getattr(error, "reply", None)
        if isinstance(reply, Failed):
            self.given[ticket].append(reply)
        else:
            self.given[ticket].append(Unresolved(ticket=ticket, cause=error))
        return not isinstance(reply, Failed)

    async def watch(self, client: Client, ticket: Ticket, comes: float) -> None:
        """See every change: no two the same in a row, and one end, which is the last."""
        await asyncio.sleep(comes)
        seen: list[Processing | Outcome] = []
        async with aclosing(client.watch(ticket)) as changes:
            async for news in changes:
                assert [news] != seen[-1:], f"{ticket}: {news} was told twice in a row"
                seen.append(news)
        *before, last = seen
        assert not isinstance(last, Processing), f"{ticket}: a watch ended before its ticket"
        assert all(isinstance(each, Processing) for each in before), f"{ticket}: two ends"
        self.given[ticket].append(last)

    async def gather(
        self, client: Client, some: list[Ticket], timeout: float | None, comes: float
    ) -> None:
        await asyncio.sleep(comes)
        outcomes = await client.gather(some, timeout=timeout)
        assert some == [each.ticket for each in outcomes], "gather lost the order"
        for each in outcomes:
            self.given[each.ticket].append(each)

    async def stream(
        self, client: Client, some: list[Ticket], timeout: float | None, comes: float, most: int
    ) -> None:
        """See so many, and leave: none more often than it was asked for."""
        seen: Counter[Ticket] = Counter()
        await asyncio.sleep(comes)
        if not most:
            return
        stream = client.stream(some, timeout=timeout, window=self.count + 1)
        async with aclosing(stream):
            async for outcome in stream:
                seen[outcome.ticket] += 1
                self.given[outcome.ticket].append(outcome)
                if seen.total() == most:
                    break
            else:
                assert Counter(some) == seen, "a stream lost a ticket or gave one twice"
        assert seen <= Counter(some), "a stream gave a ticket too often"

    async def cancelled(
        self, client: Client, some: list[Ticket], comes: float, after: float
    ) -> None:
        await asyncio.sleep(comes)
        task = asyncio.create_task(self.gather(client, some, None, 0.0))
        await asyncio.wait([task], timeout=after)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def check(self, results: list[Any], *, closed_early: bool) -> None:
        """Everything that must hold when the story is over."""
        self.rules.over()
        wrong, network = self.rules.wrong, self.network
        assert not wrong, f"{len(wrong)} rules were broken: {wrong[:3]}"
        assert network.most_flying <= self.workers, f"{network.most_flying} looks at once"
        assert 0 == network.flying, "a look was left behind"
        for result in results:
            if isinstance(result, BaseException) and not (
                closed_early and isinstance(result, ClientClosed)
            ):
                raise result
        for ticket, outcomes in self.given.items():
            for outcome in outcomes:
                self.check_outcome(ticket, outcome)

    def check_outcome(self, ticket: Ticket, outcome: Outcome) -> None:
        """A ticket ended as its job did, or was left unresolved for a documented reason."""
        settled = self.rules.settled[ticket]
        match outcome:
            case Success():
                assert not self.fates[ticket], f"{ticket} failed, and Success was told"
                assert not any("wrong" in each for each in outcome.output), "a made-up result"
                assert outcome in settled, f"{ticket}: a Success that was never settled"
            case Failed(reason=reason):
                # Told by the fault `status_404` for longer than the grace.
                lost = reason == "not_found" and self.network.committed["status_404"]
                assert lost or self.fates[ticket], f"{ticket} succeeded, and Failed was told"
                assert outcome in settled, f"{ticket}: a Failed that was never settled"
            case Unresolved(cause=WaitTimeout() | ClientClosed()):
                pass
            case Unresolved(cause=TransientError() | AuthenticationError() as cause):
                kinds = [type(each.cause) for each in settled if isinstance(each, Unresolved)]
                assert type(cause) in kinds, f"{ticket}: {cause!r} was never settled"
            case _:
                raise AssertionError(f"{ticket}: an end that is not documented: {outcome!r}")


def play(seed: int) -> Story:
    """
    Play the story of one seed.

    Raises:
        AssertionError: Something that must hold did not; the seed is in its notes.
    """
    story = Story(seed)

    async def checked() -> None:
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: complaints.append(str(context))
        )
        await story.play()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left behind: {left}"
        assert not complaints, complaints

    try:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(checked())
    except BaseException as error:
        error.add_note(f"the story of seed {seed}: simulate.py --seeds {seed}:{seed + 1}")
        raise
    return story


def main() -> None:
    """Play a range of seeds."""
    parser = argparse.ArgumentParser(description="Play seeded stories on virtual time.")
    parser.add_argument("--seeds", default="0:60", help="first:end, such as 0:300")
    first, _, end = parser.parse_args().seeds.partition(":")
    bad = []
    for seed in range(int(first), int(end)):
        try:
            play(seed)
        except Exception as error:  # noqa: BLE001 -- told, and the next seed is played.
            bad.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)  # noqa: T201
    print(f"{int(end) - int(first)} stories, {len(bad)} went wrong: {bad}")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
