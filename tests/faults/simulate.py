"""
A whole poller against the emulator on virtual time, with faults drawn from a seed.

    python tests/faults/simulate.py --seeds 0:300

The same seed plays the same story. Each story checks that every ticket settles once and rightly,
that nothing is looked at before it is due, that no more looks are on their way than there are
workers, and that nothing is sent after the end. A story that goes wrong prints its seed.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from attrs import Factory, define

# What lies in the folder above a script is not found by itself.
sys.path.append(str(Path(__file__).parents[1]))

from jumping import JumpingLoop

from modelslab_async import (
    AuthenticationError,
    Client,
    ClientClosed,
    Event,
    Failed,
    Looked,
    LookFault,
    Outcome,
    Pace,
    Processing,
    Request,
    Response,
    Settled,
    Success,
    Ticket,
    TransportError,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._poller import Poller
from modelslab_async.emulator import Emulator, Jobs
from modelslab_async.emulator.fault_answers import ANSWERS, Means

KEY = "a-simulated-key-1234"
# What no look may be ended by; refusals have stories of their own.
PASSING = tuple(
    name
    for name in ANSWERS
    if not name.startswith(("words_", "limit_huge", "redirect_", "nested", "gzip_bomb"))
    and name not in ("status_400", "status_401", "status_402", "status_403", "status_422")
)
FAMILIES = ("images", "video", "realtime", "voice", "training", "workflows", "legacy_v3")


@define(eq=False)
class Network:
    """A way to the emulator, in process, on which things go wrong. It is the client's seam."""

    emulator: Emulator
    dice: random.Random
    share: float
    latency: float
    means: Means = Factory(Means)
    down_from: float = 1e18
    down_until: float = 1e18
    script: list[str | None] = Factory(list)
    closed: bool = False
    flying: int = 0
    most_flying: int = 0
    committed: Counter[str] = Factory(Counter)

    async def exchange(self, request: Request, /) -> Response:
        assert not self.closed, "a request was sent after the client was closed"
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            return await self._exchange(request)
        finally:
            self.flying -= 1

    async def aclose(self) -> None:
        self.closed = True

    async def _exchange(self, request: Request) -> Response:
        now = asyncio.get_running_loop().time
        fault = self._fault()
        await asyncio.sleep(self.latency * self.dice.random())
        if self.down_from <= now() < self.down_until:
            raise TransportError("connection refused", may_have_left=False)
        if fault == "lost":
            raise TransportError("the connection broke", may_have_left=True)
        if fault == "hang":
            await asyncio.sleep(1e6)
        if fault == "late":
            await asyncio.sleep(5.0)
        if fault is not None and fault in ANSWERS:
            answer = ANSWERS[fault][1](self.means)
            headers = [(name.encode(), value.encode()) for name, value in answer.headers]
            return Response(status_code=answer.status_code, headers=headers, body=answer.body)
        response = await self._truth(request)
        if fault == "echo":
            # A reply that was meant for somebody else: it names another id.
            body = response.body.replace(b'"id":', b'"id":9,"was":')
            response = Response(status_code=200, headers=response.headers, body=body)
        await asyncio.sleep(self.latency * self.dice.random())
        if fault == "lost_reply":
            raise TransportError("the connection broke", may_have_left=True)
        return response

    async def _truth(self, request: Request) -> Response:
        there = await httpx.ASGITransport(app=self.emulator).handle_async_request(
            httpx.Request(
                request.method, request.url, headers=request.headers, content=request.body or None
            )
        )
        return Response(
            status_code=there.status_code, headers=there.headers.raw, body=await there.aread()
        )

    def _fault(self) -> str | None:
        fault = None
        if self.script:
            fault = self.script.pop(0)
        elif self.dice.random() < self.share:
            own = ("lost", "lost_reply", "hang", "late", "echo")
            fault = self.dice.choice((*own, *self.dice.sample(PASSING, 3)))
        if fault:
            self.committed[fault] += 1
        return fault


class Watched(Poller):
    """A poller that writes down when it looks, and what came."""

    book: "Story"

    async def _ask(self, entry: Any) -> None:
        self.book.began(entry, self._loop.time())
        await super()._ask(entry)


class Story:
    """One seed: what is planted, who waits for it and how, and what goes wrong."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        dice = self.dice
        self.pace = Pace(
            floor=dice.choice((0.5, 1.0, 3.0)),
            share=dice.choice((0.0, 0.1, 0.3)),
            ceiling=dice.choice((10.0, 60.0, 300.0)),
            jitter=dice.choice((0.0, 0.1, 0.5)),
            faults=dice.choice((3, 10, 30)),
            grace=dice.choice((0.0, 5.0)),
        )
        self.workers = dice.choice((1, 2, 7, 32))
        self.count = dice.choice((1, 5, 40, 150))
        self.answered: dict[Ticket, float] = {}
        self.etas: dict[Ticket, float | None] = {}
        self.added: dict[Ticket, float] = {}
        self.looks: Counter[Ticket] = Counter()
        self.outcomes: defaultdict[Ticket, list[Outcome]] = defaultdict(list)
        self.wrong: list[str] = []

    def began(self, entry: Any, now: float) -> None:
        """A look begins: it is not before the pace's step after the last answered one."""
        ticket = entry.ticket
        self.looks[ticket] += 1
        least = self.answered.get(ticket)
        if least is not None and now < least - 1e-6:
            self.wrong.append(f"{ticket} was looked at at {now:.3f}, not before {least:.3f}")

    def heard(self, event: Event) -> None:
        """An event of the client, who would do no more than log that a check broke."""
        try:
            self.see(event)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the story went wrong.
            self.wrong.append(f"the check of {event} broke: {error!r}")

    def see(self, event: Event) -> None:
        """What an event says that must not be."""
        now = asyncio.get_running_loop().time()
        match event:
            case Looked(reply=Processing(ticket=ticket, eta=eta), took=took):
                began = now - took
                age = max(0.0, began - self.added[ticket] - 1e-9)
                # What the first reply says of the end holds, and chance may shorten any step.
                eta = self.etas.setdefault(ticket, eta and age + eta)
                step = min(self.pace.step(age, chance, eta=eta) for chance in (0.0, 1.0))
                self.answered[ticket] = began + step
            case Settled(outcome=outcome, looks=looks):
                self.answered.pop(outcome.ticket, None)
                cause = getattr(outcome, "cause", None)
                if isinstance(cause, LookFault) and looks < self.pace.faults:
                    self.wrong.append(f"{outcome.ticket} was given up after {looks} looks")
            case _:
                pass

    async def play(self) -> None:
        """Play it, and check everything that must hold."""
        dice, loop = self.dice, asyncio.get_running_loop()
        emulator = Emulator(jobs=Jobs(duration=(0.0, 90.0), seed=self.seed), clock=loop.time)
        network = Network(
            emulator,
            random.Random(self.seed + 1),
            share=dice.choice((0.0, 0.05, 0.3, 0.6)),
            latency=dice.choice((0.0, 0.2, 2.0)),
            means=Means(hint=dice.choice((0.0, 3.0, 40.0))),
        )
        if dice.random() < 0.3:
            network.down_from = dice.uniform(0.0, 60.0)
            network.down_until = network.down_from + dice.uniform(1.0, 600.0)
        self.plant(emulator)
        client = Client(
            KEY,
            http=network,
            pace=self.pace,
            workers=self.workers,
            timeout=dice.choice((3.0, 30.0)),
            on_event=self.heard,
        )
        client._poller = poller = Watched.__new__(Watched)
        poller.book = self
        poller.__init__(  # type: ignore[misc]
            _schedule(self.pace),
            client._looker.look,
            workers=self.workers,
            hearers=client._hearers,
            chance=random.Random(self.seed + 2).random,
        )
        client._loop = loop
        close_at = dice.choice((None, None, None, dice.uniform(0.0, 100.0)))
        tasks = [asyncio.create_task(each) for each in self.callers(client)]
        if dice.random() < 0.2:
            # The machine sleeps: what was to happen meanwhile is all due at once.
            loop.call_later(dice.uniform(0.0, 60.0), self.sleep, loop, dice.uniform(1.0, 3600.0))
        if close_at is not None:
            await asyncio.wait(tasks, timeout=close_at)
            await client.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
        sent = emulator.requests
        await asyncio.sleep(10_000.0)
        self.check(results, network, closed_early=close_at is not None)
        assert sent == emulator.requests, "something was sent after the end"

    def sleep(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        assert isinstance(loop, JumpingLoop)
        loop.now += seconds

    def plant(self, emulator: Emulator) -> None:
        """Start the jobs; the truth about each is what the emulator would say at the end."""
        dice = self.dice
        self.tickets = emulator.plant_many(self.count, FAMILIES)
        self.fates = {}
        for ticket in self.tickets:
            fails = dice.random() < 0.2
            self.fates[ticket] = fails
            emulator.plant(ticket, duration=dice.choice((0.0, 1.0, 30.0, 300.0)), fails=fails)

    def callers(self, client: Client) -> Iterator[Any]:
        """Some wait, some gather, some stream, some leave early, many share their tickets."""
        dice = self.dice
        # Added at once, so that the age of each is known here.
        for ticket in self.tickets:
            self.added[ticket] = 0.0
        for _ in range(dice.randint(1, 4)):
            some = dice.choices(self.tickets, k=dice.randint(1, len(self.tickets)))
            timeout = dice.choice((None, None, dice.uniform(0.0, 200.0)))
            match dice.choice(("wait", "gather", "stream", "leave", "cancel")):
                case "wait":
                    for ticket in some[:20]:
                        yield self.wait(client, ticket, timeout)
                case "gather":
                    yield self.gather(client, some, timeout)
                case "stream":
                    yield self.stream(client, some, timeout, len(some))
                case "leave":
                    yield self.stream(client, some, timeout, dice.randint(0, len(some)))
                case _:
                    yield self.cancelled(client, some, dice.uniform(0.0, 60.0))

    async def wait(self, client: Client, ticket: Ticket, timeout: float | None) -> None:
        try:
            self.outcomes[ticket].append(await client.wait(ticket, timeout=timeout))
        except Exception as error:  # noqa: BLE001 -- looked at there.
            self.raised(ticket, error)

    def raised(self, ticket: Ticket, error: Exception) -> None:
        """What `wait` raises is about its own ticket, and one of the ends that it documents."""
        assert ticket == getattr(error, "ticket", None), f"{error!r} is not about {ticket}"
        reply = getattr(error, "reply", None)
        if isinstance(reply, Failed):
            self.outcomes[ticket].append(reply)
        else:
            assert isinstance(error, LookFault | WaitTimeout | ClientClosed), repr(error)

    async def gather(self, client: Client, some: list[Ticket], timeout: float | None) -> None:
        outcomes = await client.gather(some, timeout=timeout)
        assert some == [each.ticket for each in outcomes], "gather lost the order"
        for each in outcomes:
            self.outcomes[each.ticket].append(each)

    async def stream(
        self, client: Client, some: list[Ticket], timeout: float | None, most: int
    ) -> None:
        seen: Counter[Ticket] = Counter()
        if not most:
            return
        stream = client.stream(some, timeout=timeout, window=self.count + 1)
        try:
            async for outcome in stream:
                seen[outcome.ticket] += 1
                self.outcomes[outcome.ticket].append(outcome)
                if seen.total() == most:
                    break
            else:
                assert Counter(some) == seen, "a stream lost a ticket or gave one twice"
        finally:
            await stream.aclose()

    async def cancelled(self, client: Client, some: list[Ticket], after: float) -> None:
        task = asyncio.create_task(self.gather(client, some, None))
        await asyncio.wait([task], timeout=after)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def check(self, results: list[Any], network: Network, *, closed_early: bool) -> None:
        """Everything that must hold when the story is over."""
        assert [] == self.wrong, f"{self.wrong[:3]}"
        assert network.most_flying <= self.workers, f"{network.most_flying} looks at once"
        assert 0 == network.flying, "a look was left behind"
        for result in results:
            if isinstance(result, BaseException) and not (
                closed_early and isinstance(result, ClientClosed)
            ):
                raise result
        for ticket, outcomes in self.outcomes.items():
            for outcome in outcomes:
                self.check_outcome(ticket, outcome)

    def check_outcome(self, ticket: Ticket, outcome: Outcome) -> None:
        """A ticket ended as its job did, or was left unresolved for a documented reason."""
        match outcome:
            case Success():
                assert not self.fates[ticket], f"{ticket} failed, and Success was told"
                assert outcome.ticket == ticket
                assert not any("wrong" in each for each in outcome.output), "a made-up result"
            case Failed(reason="not_found"):
                pass  # Told by the fault `status_404` for longer than the grace.
            case Failed():
                assert self.fates[ticket], f"{ticket} succeeded, and Failed was told"
            case Unresolved(cause=cause):
                assert isinstance(cause, LookFault | WaitTimeout | ClientClosed), repr(cause)
                assert not isinstance(cause, AuthenticationError)


def _schedule(pace: Pace) -> Any:
    from modelslab_async._core.schedule import Schedule  # noqa: PLC0415

    return Schedule(pace)


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
