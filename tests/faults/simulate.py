"""
Runs random scenarios of a whole client against the emulator on virtual time, one for each seed.

    python tests/faults/simulate.py --seeds 0:300

The same seed gives the same scenario. Replies are lost, late, stale, repeated or unreadable, there
are rate limits, outages, a refused key and a suspended machine. Callers come, leave and come back.

The rules in `simulated_rules.py` check that a ticket completes once for all its watchers, with a
valid outcome. They check that no poll is sent before it is due, during a pause, or beside another
one to a host that has not answered yet. This module checks that there are no more polls in flight
than workers, that each caller gets every ticket as often as it asked for it, with the outcome of
its job, and that nothing is sent after the client is closed. A failed scenario prints its seed.
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

# A script finds only modules in its own folder by default.
sys.path.append(str(Path(__file__).parents[1]))

from faults.simulated_network import CURRENT_POLL, Network
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


class Scenario:
    """The scenario of one seed: the jobs, the callers, and the faults."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.pace = Pace(
            floor=rng.choice((0.5, 1.0, 3.0)),
            age_fraction=rng.choice((0.0, 0.1, 0.3)),
            ceiling=rng.choice((10.0, 60.0, 300.0)),
            jitter=rng.choice((0.0, 0.1, 0.5)),
            max_failures=rng.choice((3, 10, 30)),
            grace=rng.choice((0.0, 5.0, 20.0)),
        )
        self.workers = rng.choice((1, 2, 7, 32))
        self.count = rng.choice((1, 5, 40, 150))
        self.rate = rng.choice((None, None, 0.7, 5.0))
        self.rules = Rules(self.pace, self.rate)
        self.received: defaultdict[Ticket, list[Outcome]] = defaultdict(list)

    async def run(self) -> None:
        """Run the scenario, and check everything that must hold."""
        loop, rng = asyncio.get_running_loop(), self.rng
        emulator = Emulator(jobs=Jobs(duration=(0.0, 90.0), seed=self.seed), clock=loop.time)
        self.add_job(emulator)
        self.network = network = self.network_to(emulator)
        client = self.client(network)
        close_at = rng.choice((None, None, None, rng.uniform(0.0, 100.0)))
        tasks = [asyncio.create_task(each) for each in self.callers(client)]
        if rng.random() < 0.2:
            # The machine is suspended: all timers that expire meanwhile are due at once.
            loop.call_later(rng.uniform(0.0, 60.0), self.sleep, loop, rng.uniform(1.0, 3600.0))
        if close_at is not None:
            await asyncio.wait(tasks, timeout=close_at)
            self.rules.is_closing = True
            await client.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self.rules.is_closing = True
        await client.aclose()
        sent = emulator.request_count
        await asyncio.sleep(10_000.0)
        self.check(results, closed_early=close_at is not None)
        assert sent == emulator.request_count, "a request was sent after the client was closed"

    def network_to(self, emulator: Emulator) -> Network:
        rng = self.rng
        network = Network(
            emulator,
            random.Random(self.seed + 1),
            share=rng.choice((0.0, 0.1, 0.3, 0.6)),
            latency=rng.choice((0.0, 0.2, 2.0, 2.0)),
            fault_settings=Faults(hint=rng.choice((0.0, 3.0, 40.0))),
        )
        if rng.random() < 0.3:
            network.down_from = rng.uniform(0.0, 60.0)
            network.down_until = network.down_from + rng.uniform(1.0, 600.0)
        if rng.random() < 0.3:
            network.refusals = sorted(rng.uniform(0.5, 40.0) for _ in range(3))
        return network

    def client(self, network: Network) -> Client:
        """Make a client whose polls the rules observe, with jitter from the seed."""
        client = Client(
            KEY,
            http=network,
            pace=self.pace,
            workers=self.workers,
            timeout=self.rng.choice((3.0, 30.0)),
            on_event=self.rules.on_event,
        )
        status_client = client.engine.status_client
        status_client.poll = self.rules.observe(status_client.poll, CURRENT_POLL.set)
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
        """Start the jobs, and remember which of them fail."""
        rng = self.rng
        self.tickets = emulator.add_jobs(self.count, FAMILIES)
        self.job_fails = {}
        for ticket in self.tickets:
            fails = rng.random() < 0.2
            self.job_fails[ticket] = fails
            emulator.add_job(ticket, duration=rng.choice((0.0, 1.0, 30.0, 300.0)), fails=fails)

    def callers(self, client: Client) -> Iterator[Any]:
        """Yield callers that wait, watch, gather, stream, leave early or are cancelled."""
        rng = self.rng
        for _ in range(rng.randint(1, 5)):
            tickets = rng.choices(self.tickets, k=rng.randint(1, len(self.tickets)))
            timeout = rng.choice((None, None, rng.uniform(0.0, 200.0)))
            starts_after = rng.choice((0.0, 0.0, rng.uniform(0.0, 90.0)))
            match rng.choice(("wait", "watch", "gather", "stream", "leave", "cancel")):
                case "wait":
                    retries = rng.choice((0, 3))
                    for ticket in tickets[:20]:
                        yield self.wait(client, ticket, timeout, starts_after, retries)
                case "watch":
                    for ticket in tickets[:5]:
                        yield self.watch(client, ticket, starts_after)
                case "gather":
                    yield self.gather(client, tickets, timeout, starts_after)
                case "stream":
                    yield self.stream(client, tickets, timeout, starts_after, len(tickets))
                case "leave":
                    yield self.stream(
                        client, tickets, timeout, starts_after, rng.randint(0, len(tickets))
                    )
                case _:
                    yield self.cancelled(client, tickets, starts_after, rng.uniform(0.0, 60.0))

    async def wait(
        self,
        client: Client,
        ticket: Ticket,
        timeout: float | None,
        starts_after: float,
        retries: int,
    ) -> None:
        """Wait, and retry if the wait ended before the job."""
        await asyncio.sleep(starts_after)
        try:
            self.received[ticket].append(await client.wait(ticket, timeout=timeout))
        except ModelsLabError as error:
            if self.record_error(ticket, error) and retries and not self.rules.is_closing:
                await self.wait(client, ticket, timeout, 0.0, retries - 1)

    def record_error(self, ticket: Ticket, error: ModelsLabError) -> bool:
        """Record what `wait` raised. Return whether the job has not ended."""
        closed = isinstance(error, ClientClosed) and self.rules.is_closing
        assert closed or ticket == error.ticket, f"{error!r} is not about {ticket}"
        reply = getattr(error, "reply", None)
        if isinstance(reply, Failed):
            self.received[ticket].append(reply)
        else:
            self.received[ticket].append(Unresolved(ticket=ticket, cause=error))
        return not isinstance(reply, Failed)

    async def watch(self, client: Client, ticket: Ticket, starts_after: float) -> None:
        """Check that a watch gives changes only, and then one outcome."""
        await asyncio.sleep(starts_after)
        seen: list[Processing | Outcome] = []
        async with aclosing(client.watch(ticket)) as changes:
            async for reply in changes:
                assert [reply] != seen[-1:], f"{ticket}: {reply} came twice in a row"
                seen.append(reply)
        *before, last = seen
        assert not isinstance(last, Processing), f"{ticket}: a watch ended before its ticket"
        assert all(isinstance(each, Processing) for each in before), f"{ticket}: two outcomes"
        self.received[ticket].append(last)

    async def gather(
        self, client: Client, tickets: list[Ticket], timeout: float | None, starts_after: float
    ) -> None:
        await asyncio.sleep(starts_after)
        outcomes = await client.gather(tickets, timeout=timeout)
        assert tickets == [each.ticket for each in outcomes], "gather lost the order"
        for each in outcomes:
            self.received[each.ticket].append(each)

    async def stream(
        self,
        client: Client,
        tickets: list[Ticket],
        timeout: float | None,
        starts_after: float,
        limit: int,
    ) -> None:
        """Read some outcomes, and leave. No ticket comes more often than requested."""
        seen: Counter[Ticket] = Counter()
        await asyncio.sleep(starts_after)
        if not limit:
            return
        stream = client.stream(tickets, timeout=timeout, window=self.count + 1)
        async with aclosing(stream):
            async for outcome in stream:
                seen[outcome.ticket] += 1
                self.received[outcome.ticket].append(outcome)
                if seen.total() == limit:
                    break
            else:
                assert Counter(tickets) == seen, "a stream lost a ticket or gave one twice"
        assert seen <= Counter(tickets), "a stream gave a ticket too often"

    async def cancelled(
        self, client: Client, tickets: list[Ticket], starts_after: float, cancel_after: float
    ) -> None:
        await asyncio.sleep(starts_after)
        task = asyncio.create_task(self.gather(client, tickets, None, 0.0))
        await asyncio.wait([task], timeout=cancel_after)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def check(self, results: list[Any], *, closed_early: bool) -> None:
        """Check everything that must hold at the end of the scenario."""
        self.rules.check_closed()
        violations, network = self.rules.violations, self.network
        assert not violations, f"{len(violations)} rules were broken: {violations[:3]}"
        assert network.max_in_flight <= self.workers, f"{network.max_in_flight} polls at once"
        assert 0 == network.in_flight, "a poll was left in flight"
        for result in results:
            if isinstance(result, BaseException) and not (
                closed_early and isinstance(result, ClientClosed)
            ):
                raise result
        for ticket, outcomes in self.received.items():
            for outcome in outcomes:
                self.check_outcome(ticket, outcome)

    def check_outcome(self, ticket: Ticket, outcome: Outcome) -> None:
        """Check that an outcome is that of the job, or unresolved for a documented reason."""
        completed = self.rules.outcomes[ticket]
        match outcome:
            case Success():
                assert not self.job_fails[ticket], f"{ticket} failed, but its outcome is Success"
                is_wrong = any("wrong" in each for each in outcome.output)
                assert not is_wrong, f"{ticket}: the output is that of a wrong reply"
                assert outcome in completed, f"{ticket}: this Success has no Completed event"
            case Failed(reason=reason):
                # The fault `status_404` lasted for longer than the grace.
                lost = reason == "not_found" and self.network.committed["status_404"]
                assert lost or self.job_fails[ticket], (
                    f"{ticket} succeeded, but its outcome is Failed"
                )
                assert outcome in completed, f"{ticket}: this Failed has no Completed event"
            case Unresolved(cause=WaitTimeout() | ClientClosed()):
                pass
            case Unresolved(cause=TransientError() | AuthenticationError() as cause):
                kinds = [type(each.cause) for each in completed if isinstance(each, Unresolved)]
                assert type(cause) in kinds, f"{ticket}: {cause!r} has no Completed event"
            case _:
                raise AssertionError(f"{ticket}: an undocumented outcome: {outcome!r}")


def run_scenario(seed: int) -> Scenario:
    """
    Run the scenario of one seed.

    Raises:
        AssertionError: A check failed. The notes of the error have the seed.
    """
    scenario = Scenario(seed)

    async def run_checked() -> None:
        loop_errors: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: loop_errors.append(str(context))
        )
        await scenario.run()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left behind: {left}"
        assert not loop_errors, loop_errors

    try:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(run_checked())
    except BaseException as error:
        error.add_note(f"the scenario of seed {seed}: simulate.py --seeds {seed}:{seed + 1}")
        raise
    return scenario


def main() -> None:
    """Run a range of seeds."""
    parser = argparse.ArgumentParser(description="Run seeded scenarios on virtual time.")
    parser.add_argument("--seeds", default="0:60", help="first:end, such as 0:300")
    first, _, end = parser.parse_args().seeds.partition(":")
    bad = []
    for seed in range(int(first), int(end)):
        try:
            run_scenario(seed)
        except Exception as error:  # noqa: BLE001 -- printed, and the next seed runs.
            bad.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)  # noqa: T201
    print(f"{int(end) - int(first)} scenarios, {len(bad)} failed: {bad}")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
