"""After `aclose` nothing is sent that was not in flight, over every transport."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from http_codecs import http11

from modelslab_async import Client, ClientClosed, Ticket, TransportError, Unresolved, Unsubmitted
from modelslab_async.emulator import Emulator, Jobs, run_server

from .conftest import KEY, REALTIME, never_left

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20


class Counting(Emulator):
    """Counts the requests that reach it, and may hold the replies back."""

    def __init__(self):
        super().__init__(jobs=Jobs(duration=(50.0, 50.0)))
        self.arrivals = 0
        self.arrived = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.arrivals += 1
            self.arrived.set()
            await self.answering.wait()
        await super().__call__(scope, receive, send)


class Slow:
    """A file whose read waits until it may go on."""

    def __init__(self, loop):
        self.loop, self.begun, self.may = loop, asyncio.Event(), asyncio.Event()

    def read(self, _size):
        self.loop.call_soon_threadsafe(self.begun.set)
        asyncio.run_coroutine_threadsafe(self.may.wait(), self.loop).result(60)
        return PNG


@asynccontextmanager
async def clients(kind, app):
    """A client over each kind of transport."""
    asgi = httpx.ASGITransport(app=app)
    match kind:
        case "h11" | "httptools":
            async with run_server(app) as url:
                yield Client(KEY, base_url=url, http=http11(kind))
        case "httpx client":
            async with httpx.AsyncClient(transport=asgi) as http:
                yield Client(KEY, http=http)
        case "httpx transport":
            yield Client(KEY, http=asgi)


KINDS = ["h11", "httptools", "httpx client", "httpx transport"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, 1])
async def test_close_while_file_is_read_sends_nothing(kind, before):
    """Neither the file nor the submit is sent, for the first request of a client or a later one."""
    app = Counting()
    async with clients(kind, app) as client:
        for _ in range(before):
            await client.submit(REALTIME, prompt="a fox")
        file = Slow(asyncio.get_running_loop())
        submit = client.submit("realtime/img2img", prompt="winter", init_image=file)
        submitting = asyncio.create_task(submit)
        await file.begun.wait()
        await client.aclose()
        file.may.set()
        with pytest.raises(ClientClosed, match="nothing was started"):
            await submitting
    assert before == app.arrivals


@pytest.mark.parametrize("kind", KINDS)
async def test_close_during_upload_sends_no_submit(kind):
    """The upload in flight ends without a reply, and no submit follows."""
    app = Counting()
    app.answering.clear()
    async with clients(kind, app) as client:
        submit = client.submit("realtime/img2img", prompt="winter", init_image=PNG)
        submitting = asyncio.create_task(submit)
        await app.arrived.wait()
        await client.aclose()
        with pytest.raises(ClientClosed, match="nothing was started"):
            async with asyncio.timeout(300):
                await submitting
        app.answering.set()
    assert 1 == app.arrivals
    assert [] == app.submits


QUESTIONS = {
    "ask": lambda client: client.ask("general/request_count"),
    "fetch": lambda client: client.fetch("realtime:1"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUESTIONS)
async def test_close_during_ask_ends_it(kind, name):
    """It ends with a `ClientClosed`, though no reply comes."""
    app = Counting()
    app.answering.clear()
    async with clients(kind, app) as client:
        asking = asyncio.create_task(QUESTIONS[name](client))
        await app.arrived.wait()
        await client.aclose()
        with pytest.raises(ClientClosed, match="the client was closed"):
            async with asyncio.timeout(300):
                await asking
        app.answering.set()
    assert 1 == app.arrivals


IN_FLIGHT = QUESTIONS | {
    "upload": lambda client: client.submit("realtime/img2img", prompt="winter", init_image=PNG)
}


@pytest.mark.parametrize("name", IN_FLIGHT)
def test_close_ends_what_its_transport_does_not_end(virtually, name):
    """A request over a transport without `aclose` that never answers ends at once."""

    class Silent:
        def __init__(self):
            self.arrived = asyncio.Event()

        async def exchange(self, _request):
            self.arrived.set()
            await asyncio.Event().wait()

    async def main():
        transport = Silent()
        client = Client(KEY, http=transport)
        asking = asyncio.create_task(IN_FLIGHT[name](client))
        await transport.arrived.wait()
        await client.aclose()
        with pytest.raises(ClientClosed, match="the client was closed"):
            await asking
        assert 0 == asking.cancelling()
        assert 0.0 == asyncio.get_running_loop().time()

    virtually(main)


@pytest.mark.parametrize("name", QUESTIONS)
async def test_ask_cut_by_close_raises_client_closed(name):
    """Whatever the transport raises, the caller gets a `ClientClosed`."""

    class Cut:
        async def exchange(self, _request):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise TransportError("the connection was closed") from None

    client = Client(KEY, http=Cut())
    asking = asyncio.create_task(QUESTIONS[name](client))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ClientClosed, match="the client was closed"):
        await asking


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUESTIONS)
async def test_ask_after_close_sends_nothing(kind, name):
    """Nothing of it is sent."""
    app = Counting()
    async with clients(kind, app) as client:
        asking = asyncio.create_task(QUESTIONS[name](client))
        await client.aclose()
        with pytest.raises(ClientClosed):
            await asking
    assert 0 == app.arrivals


def test_close_ends_pause_before_retry(virtually, service):
    """A submit that never left ends at once with a `ClientClosed`."""

    async def main():
        here = service(*[never_left] * 9)
        client = here.client()
        submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
        await asyncio.sleep(20.0)
        sent = len(here.submits)
        await client.aclose()
        with pytest.raises(ClientClosed, match="nothing was started"):
            await submitting
        assert 20.0 == asyncio.get_running_loop().time()
        assert sent == len(here.submits)

    virtually(main)


def test_slot_granted_while_client_closes_sends_nothing(virtually, service):
    """A submit that is admitted in the same moment is not sent."""

    async def main():
        here = service()
        client = here.client(queue=1)
        begun = await client.submit(REALTIME, prompt="a fox")
        waiting = asyncio.create_task(client.submit(REALTIME, prompt="a dog"))
        await asyncio.sleep(0)
        # Both happen in one step of the loop, which no caller can force.
        client.engine.submitter.slots["standard"].on_completed(begun.ticket)
        await client.engine.submitter.aclose()
        with pytest.raises(ClientClosed, match="nothing was started"):
            await waiting
        await client.aclose()
        assert 1 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_close_during_submit_of_generate_keeps_its_ticket(virtually, service, timeout):
    """The `ClientClosed` has the ticket that the reply brings, and no poll is sent."""

    async def main():
        here = service()
        client = here.client()
        generate = client.generate(REALTIME, prompt="a fox", timeout=timeout)
        generating = asyncio.create_task(generate)
        await asyncio.sleep(0.005)
        await client.aclose()
        with pytest.raises(ClientClosed, match="its work was started") as caught:
            await generating
        assert Ticket("realtime", 1) == caught.value.ticket
        assert 0 == here.polls

    virtually(main)


def test_close_during_submit_of_generate_many_keeps_its_ticket(virtually, service):
    """Its request ends as `Unresolved` with the ticket, and one that waits as `Unsubmitted`."""

    async def main():
        here = service()
        client = here.client(queue=1)
        requests = [(REALTIME, {"prompt": prompt}) for prompt in ("a fox", "a dog")]

        async def generate():
            pairs = client.generate_many(requests)
            return {params["prompt"]: outcome async for (_, params), outcome in pairs}

        generating = asyncio.create_task(generate())
        await asyncio.sleep(0.005)
        await client.aclose()
        match await generating:
            case {
                "a fox": Unresolved(ticket=ticket, cause=ClientClosed() as cause),
                "a dog": Unsubmitted(cause=ClientClosed()),
            }:
                assert Ticket("realtime", 1) == ticket == cause.ticket
            case outcomes:
                pytest.fail(f"unexpected outcomes: {outcomes}")
        assert 0 == here.polls

    virtually(main)
