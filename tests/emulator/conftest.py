"""A virtual clock, an emulator that reads it, and an HTTP client that runs in process."""

import httpx
import pytest

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.families import FAMILIES
from modelslab_async.emulator import Emulator, Jobs

BASE = "http://emulator.test/api"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Visitor:
    """Sends requests to an emulator as any client would, with the registry's own calls."""

    def __init__(self, emulator):
        transport = httpx.ASGITransport(app=emulator)
        self.http = httpx.AsyncClient(transport=transport, base_url=f"{BASE}/")

    async def fetch(self, ticket, *, key="k"):
        ticket = Ticket.of(ticket)
        call = FAMILIES[ticket.family].with_hosts(base=BASE, legacy=BASE).build_poll(ticket)
        if call.key_in == "body":
            return await self.http.request(call.method, call.url, json={**call.fields, "key": key})
        place = {"header": "headers", "query": "params"}[call.key_in]
        return await self.http.request(call.method, call.url, **{place: {"key": key}})

    async def submit(self, path, *, key="k", **fields):
        return await self.http.post(path, json={"key": key, **fields})

    async def start(self, endpoint, **fields):
        """Submit the required parameters of an endpoint, and these fields."""
        needed = (*endpoint.required, *(group[0] for group in endpoint.any_of))
        path = (
            endpoint.url.partition("/")[2]
            .replace("{workflow_id}", "wf")
            .replace("{server}", "flux")
        )
        return await self.submit(path, **{**dict.fromkeys(needed, "x"), **fields})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def emulator(clock):
    return Emulator(clock=clock, jobs=Jobs(duration=(4.0, 4.0)))


@pytest.fixture
def visit():
    """Return a function that makes a visitor of an emulator."""
    return Visitor


@pytest.fixture
def visitor(emulator):
    return Visitor(emulator)
