"""A fleet: a store and a service in one namespace, and three hosts that share an account."""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from attrs import Factory, define
from counting_service import CountingService
from network import Link, Network, inside
from postgres_server import PostgresServer

from modelslab_async import PostgresAccount
from modelslab_async._account import postgres_schema_sql
from modelslab_async.emulator import Jobs, run_server

QUEUE = 5
RATE = 100
_HOSTS = 3
_STORE_PORT = 5432
_WORKER = Path(__file__).with_name("worker.py")
# Tickets of each host that do not end, so that more polls are due than the rate allows.
_OPEN_TICKETS = 30
_TASKS = 4
# Iterations of the event loop between the arrival of a poll and its count, at most.
_TICKS = 3


@define
class Fleet:
    """Hosts that work, and what they did."""

    network: Network
    service: CountingService
    dice: random.Random
    workers: list[asyncio.subprocess.Process] = Factory(list)
    ends: Counter[str] = Factory(Counter[str])

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        seed: int,
        *,
        lease_s: float = 30.0,
        clock_shifts_s: Sequence[float] = (0.0,) * _HOSTS,
    ) -> AsyncGenerator["Fleet", None]:
        """Let the hosts work while the block runs. A client is dead after `lease_s`."""
        async with AsyncExitStack() as stack:
            network = stack.enter_context(Network.running(_HOSTS))
            with inside(network.center):
                server = stack.enter_context(PostgresServer.running(port=_STORE_PORT))
                patch = stack.enter_context(pytest.MonkeyPatch.context())
                patch.setitem(postgres_schema_sql._VALUES, "LEASE_S", lease_s)
                service = CountingService(ticks=_TICKS, jobs=Jobs(duration=(0.1, 1.5)))
                await stack.enter_async_context(service.ticking())
                url = await stack.enter_async_context(run_server(service, host="0.0.0.0"))
            PostgresAccount(server.address, rate=RATE, queue=QUEUE)
            fleet = cls(network, service, random.Random(seed))
            stack.callback(fleet._kill)
            for number, shift_s in enumerate(clock_shifts_s):
                await fleet._start(number, url, shift_s)
            yield fleet
            await fleet._finish()

    async def _start(self, number: int, url: str, clock_shift_s: float) -> None:
        store = self.network.to_store[number].far_address
        first = number * _OPEN_TICKETS + 1
        tickets = [f"images:{id_}" for id_ in range(first, first + _OPEN_TICKETS)]
        for ticket in tickets:
            self.service.add_job(ticket, duration=1e6)
        settings = {
            "name": f"host {number}",
            "account": f"postgresql://tests@{store}:{_STORE_PORT}/postgres",
            "url": url.replace("0.0.0.0", self.network.to_service[number].far_address),
            "rate": RATE,
            "queue": QUEUE,
            "tasks": _TASKS,
            "tickets": tickets,
            "clock_shift_s": clock_shift_s,
        }
        with inside(self.network.hosts[number]):
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, str(_WORKER), json.dumps(settings)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        self.workers.append(worker)
        assert worker.stdout is not None
        assert b"started\n" == await worker.stdout.readline()

    def some_links(self) -> list[Link]:
        """The link of one host to the store, to the service, or both."""
        number = self.dice.randrange(_HOSTS)
        to_store, to_service = self.network.to_store[number], self.network.to_service[number]
        return self.dice.choice([[to_store], [to_service], [to_store, to_service]])

    def check(self) -> None:
        """No limit was exceeded, as the service counts, and all hosts went on."""
        queued, polls = self.service.most_queued, self.service.most_polls_in_a_second
        figures = (
            f"at most {queued} queued of {QUEUE}, and {polls} polls in any second of {RATE}; "
            f"{len(self.service.arrivals)} polls, submits: {dict(self.ends)}"
        )
        sys.stdout.write(f"\n{figures}\n")
        assert QUEUE >= queued, figures
        assert RATE >= polls, figures
        prompts = Counter(submit.fields["prompt"] for submit in self.service.submits)
        assert {1} == set(prompts.values()), "a submit was sent twice"

    async def _finish(self) -> None:
        for worker in self.workers:
            output, _ = await worker.communicate(b"")
            assert 0 == worker.returncode
            self.ends.update(json.loads(output))
        self.check()

    def _kill(self) -> None:
        for worker in self.workers:
            if worker.returncode is None:
                worker.kill()
