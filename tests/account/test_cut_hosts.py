"""Hosts that are cut off from the store or the service: no limit is exceeded, nothing is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from attrs import Factory, define
from counting_service import CountingService
from everyday import cases

from modelslab_async import Client, ModelsLabError, Pace, PostgresAccount, SubmitUncertain, Success
from modelslab_async.emulator import Jobs, run_server

from .cut_proxy import CutProxy

KEY = "a-test-key-1234"
RATE = 100
QUEUE = 5
# Host 0 is the one that is cut off.
HOSTS = 3
# For a busy machine.
DEADLINE_S = 300.0
# Iterations of the event loop between the start of a poll and its arrival, at most.
TICKS = 40
# So more polls are due than the rate allows.
POLL_INTERVAL_S = 0.2
# Host 0 has the most, so a cut could hold back many polls.
TICKETS = (60, 10, 10)


@define
class Host:
    """One client with tickets and prompts of its own, and its links."""

    number: int
    client: Client
    service: CountingService
    to_store: CutProxy
    to_service: CutProxy
    tickets: list[str]
    ends: Counter[str] = Factory(Counter[str])
    prompts: int = 0
    is_done: bool = False

    @property
    def polls(self) -> int:
        """The number of polls of the tickets that have arrived."""
        return sum(self.service.polls[ticket] for ticket in self.tickets)

    async def generate(self, task: int) -> None:
        """Generate one picture after another until the test is done."""
        number = 0
        while not self.is_done:
            number += 1
            self.prompts += 1
            try:
                prompt = f"host {self.number}, {task}, {number}"
                await self.client.generate("realtime/text2img", prompt=prompt)
                self.ends["done"] += 1
            except ModelsLabError as error:
                self.ends[type(error).__name__] += 1
                if isinstance(error, SubmitUncertain):
                    # Its slot is held for long, so further ones would only wait.
                    return


@define
class Hosts:
    """Hosts that share an account, and the service that counts."""

    service: CountingService
    hosts: list[Host] = Factory(list)
    _work: list[asyncio.Task[Any]] = Factory(list)
    _waits: list[asyncio.Task[Any]] = Factory(list)

    @classmethod
    @asynccontextmanager
    async def running(cls, postgres: Any, schema: str) -> AsyncGenerator["Hosts", None]:
        """Let the hosts work while the block runs. Then check what the service has counted."""
        service = CountingService(ticks=TICKS, jobs=Jobs(duration=(0.1, 0.5)))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(service.ticking())
            url = await stack.enter_async_context(run_server(service))
            port = int(url.rpartition(":")[2].partition("/")[0])
            fleet = cls(service)
            for number in range(HOSTS):
                to_store = await stack.enter_async_context(
                    CutProxy.running(lambda: _open_unix(postgres))
                )
                to_service = await stack.enter_async_context(
                    CutProxy.running(lambda: asyncio.open_connection("127.0.0.1", port))
                )
                address = f"postgresql://tests@127.0.0.1:{to_store.port}/postgres?sslmode=disable"
                account = await asyncio.to_thread(
                    PostgresAccount, address, rate=RATE, queue=QUEUE, schema=schema
                )
                client = await stack.enter_async_context(
                    Client(
                        KEY,
                        base_url=url.replace(str(port), str(to_service.port)),
                        account=account,
                        pace=Pace.fixed(POLL_INTERVAL_S),
                    )
                )
                ids = [f"images:{number * 1000 + id_}" for id_ in range(1, TICKETS[number] + 1)]
                for ticket in ids:
                    service.add_job(ticket, duration=1e6)
                fleet._start(Host(number, client, service, to_store, to_service, ids))
            yield fleet
            await fleet._finish()
        fleet._check()

    def _start(self, host: Host) -> None:
        self.hosts.append(host)
        self._waits.append(asyncio.create_task(host.client.gather(host.tickets)))
        self._work.extend(asyncio.create_task(host.generate(task)) for task in range(2))

    async def wait_for_polls(self, hosts: list[Host], count: int) -> None:
        """Wait until so many more polls of each of these hosts have arrived."""
        wanted = [(host, host.polls + count) for host in hosts]
        async with asyncio.timeout(DEADLINE_S):
            while any(host.polls < polls for host, polls in wanted):  # noqa: ASYNC110 -- a poll has no event.
                await asyncio.sleep(0.01)

    async def _finish(self) -> None:
        """Let all work end."""
        async with asyncio.timeout(DEADLINE_S):
            for host in self.hosts:
                host.is_done = True
            await asyncio.gather(*self._work)
            for host in self.hosts:
                for ticket in host.tickets:
                    self.service.add_job(ticket, duration=0, fails=False)
            for outcomes in await asyncio.gather(*self._waits):
                assert all(isinstance(outcome, Success) for outcome in outcomes)

    def _check(self) -> None:
        ends = sum((host.ends for host in self.hosts), Counter[str]())
        assert QUEUE >= self.service.most_queued
        assert RATE >= self.service.most_polls_in_a_second
        prompts = Counter(submit.fields["prompt"] for submit in self.service.submits)
        assert {1} == set(prompts.values()), "a submit was sent twice"
        assert {"done", "SubmitUncertain"} >= set(ends)
        assert ends.total() == sum(host.prompts for host in self.hosts)
        assert ends["done"] <= len(prompts) <= ends.total()


async def _open_unix(postgres: Any) -> Any:
    return await asyncio.open_unix_connection(f"{postgres.folder}/.s.PGSQL.5432")


@pytest.mark.parametrize("manner", cases(["silence"], ["hold", "reset"]))
async def test_host_cut_off_from_the_store_exceeds_no_limit(postgres, manner):
    """It uses up its poll times, then starts nothing, and goes on once the store is back."""
    async with Hosts.running(postgres, f"cut store {manner}") as fleet:
        cut, *others = fleet.hosts
        await fleet.wait_for_polls(fleet.hosts, 20)
        getattr(cut.to_store, manner)()
        before, submits = cut.polls, len(fleet.service.submits)
        await fleet.wait_for_polls(others, 80)
        # What one answer of the account grants, in use and on its way.
        assert RATE // 2 >= cut.polls - before
        cut.to_store.mend()
        await fleet.wait_for_polls([cut], 20)
    assert len(fleet.service.submits) > submits


@pytest.mark.parametrize("manner", cases(["reset"], ["hold", "silence"]))
async def test_host_cut_off_from_both_exceeds_no_limit(postgres, manner):
    """The store cannot know which polls are held back, so it grants their permits to no other."""
    async with Hosts.running(postgres, f"cut both {manner}") as fleet:
        cut, *others = fleet.hosts
        await fleet.wait_for_polls(fleet.hosts, 20)
        for link in (cut.to_service, cut.to_store):
            getattr(link, manner)()
        await fleet.wait_for_polls(others, 100)
        for link in (cut.to_service, cut.to_store):
            link.mend()
        await fleet.wait_for_polls([cut], 20)


@pytest.mark.parametrize("manner", cases(["hold"], ["reset", "silence"]))
async def test_host_cut_off_from_the_service_exceeds_no_limit(postgres, manner):
    """Few polls are held back, so those that arrive late add little to those of other hosts."""
    async with Hosts.running(postgres, f"cut service {manner}") as fleet:
        cut, *others = fleet.hosts
        await fleet.wait_for_polls(fleet.hosts, 20)
        getattr(cut.to_service, manner)()
        await fleet.wait_for_polls(others, 100)
        cut.to_service.mend()
        await fleet.wait_for_polls([cut], 20)
