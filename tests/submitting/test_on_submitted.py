"""What `on_submitted` raises reaches the caller as it is, and nothing is sent again."""

import asyncio

import pytest

from modelslab_async import (
    AuthenticationError,
    Batch,
    ClientClosed,
    RateLimited,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
)

from .conftest import QUICK, REALTIME, finish_at_once, json_response


class Odd(BaseException):
    """An exception that no `except Exception` catches."""


class Sealed(Exception):
    """An exception that takes no note."""

    def add_note(self, note):
        raise AttributeError(note)


RAISED = {
    "left": TransportError("the hook's own request broke", may_have_been_sent=True),
    "never left": TransportError("no route", may_have_been_sent=False),
    "rate": RateLimited("too many questions", retry_after=1.0),
    "doubt": SubmitUncertain("another one"),
    "key": AuthenticationError("bad key"),
    "disk": OSError("the disk is full"),
    "cancelled": asyncio.CancelledError("within the hook"),
    "odd": Odd("odd"),
    "stop": StopAsyncIteration("no more"),
    "sealed": Sealed("no note"),
}


def noted(error):
    return "".join(getattr(error, "__notes__", ()))


@pytest.mark.parametrize("name", RAISED)
def test_hook_error_is_raised_and_nothing_sent_again(virtually, service, name):
    """The caller gets the hook's exception, with a note that names the ticket, after one submit."""
    raised = RAISED[name]

    async def store(_):
        raise raised

    async def main():
        here = service()
        async with here.client(on_submitted=store, pace=QUICK) as client:
            with pytest.raises(type(raised)) as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert raised is caught.value
        assert 1 == len(here.submits)

    virtually(main)
    if name != "sealed":
        assert "after the work was started as realtime:1" in noted(raised)


def test_plain_function_is_a_hook_too(virtually, service):
    """Before a call, a function that returns None looks like one that returns an awaitable."""
    stored, awaited = [], []

    async def store(ticket):
        await asyncio.sleep(1)
        awaited.append(ticket)

    async def main():
        here = service()
        for hook in (lambda news: stored.append(news.ticket), lambda news: store(news.ticket)):
            async with here.client(on_submitted=hook, pace=QUICK) as client:
                await client.submit(REALTIME, prompt="a fox")
        assert 2 == len(here.submits)

    virtually(main)
    assert [Ticket("realtime", 1)] == stored
    assert [Ticket("realtime", 2)] == awaited


def test_hook_whose_own_request_fails_starts_nothing_again(virtually, service):
    """The hook asks the same service and gets no reply: the work is not started again."""
    clients = []

    async def store(_):
        await clients[0].ask("general/request_count")

    async def main():
        here = service()
        answer = here.exchange

        async def exchange(request):
            if "request_count" in request.url:
                raise TransportError("broke", may_have_been_sent=True)
            return await answer(request)

        here.exchange = exchange
        async with here.client(on_submitted=store, pace=QUICK) as client:
            clients.append(client)
            with pytest.raises(TransportError, match="broke") as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert 1 == len(here.submits)
        assert "realtime:1" in noted(caught.value)

    virtually(main)


@pytest.mark.parametrize("kind", [TransportError, AuthenticationError, OSError, Odd])
def test_generate_many_raises_hook_error(virtually, service, kind):
    """It is no outcome of the request: that has a ticket, which the note names."""

    async def store(news):
        if news.ticket.id == "2":
            raise kind("the hook broke")

    async def main():
        here, outcomes = service(*[finish_at_once] * 3), []
        prompts = [(REALTIME, {"prompt": str(number)}) for number in range(3)]

        async def collect():
            async for _, outcome in client.generate_many(prompts):
                outcomes.append(outcome)

        async with here.client(queue=1, on_submitted=store) as client:
            with pytest.raises(kind, match="the hook broke") as caught:
                await collect()
        assert "realtime:2" in noted(caught.value)
        assert 3 == len(here.submits)
        assert {Ticket("realtime", 1), Ticket("realtime", 3)} == {
            outcome.ticket for outcome in outcomes
        }
        assert all(isinstance(outcome, Success) for outcome in outcomes)

    virtually(main)


def test_hook_error_without_caller_is_logged(virtually, service, caplog):
    """If the caller was cancelled and the hook raises, the log names the ticket."""

    async def store(_):
        await asyncio.sleep(0.1)
        raise OSError("the disk is full")

    async def main():
        here = service()
        async with here.client(on_submitted=store) as client:
            submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(0.05)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting

    virtually(main)
    assert "missed OSError: realtime:1" in caplog.text


def test_ticket_is_logged_when_loop_ends_in_hook(service, caplog):
    """A loop that ends while a hook is awaited logs which work was started."""

    async def store(_):
        in_hook.set()
        await asyncio.sleep(60)

    in_hook = asyncio.Event()

    async def main():
        here = service()
        client = here.client(on_submitted=store)
        submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
        await in_hook.wait()
        assert not submitting.done()
        assert 1 == here.starts.total()

    asyncio.run(main())
    assert "after the work was started as realtime:1" in caplog.text


def test_client_that_is_closed_in_its_hook_stays_open(virtually, service):
    """Closing waits for the hook, so `aclose` raises there at once. A note names the ticket."""
    clients = []

    async def close(_):
        await clients[0].aclose()

    async def main():
        here = service()
        client = here.client(on_submitted=close)
        clients.append(client)
        for number in (1, 2):
            with pytest.raises(RuntimeError, match="after `submit` has returned") as caught:
                await client.submit(REALTIME, prompt=f"fox {number}")
            assert f"realtime:{number}" in noted(caught.value)
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.submit(REALTIME, prompt="a dog")
        assert 2 == len(here.submits)
        assert asyncio.get_running_loop().time() < 1.0

    virtually(main)


def test_hook_may_start_to_close_the_client(virtually, service):
    """The client is closed once the hook has returned, and the submit has its ticket."""
    clients, closings = [], []

    async def close(_):
        closings.append(asyncio.create_task(clients[0].aclose()))
        await asyncio.sleep(1.0)

    async def main():
        client = service().client(on_submitted=close)
        clients.append(client)
        reply = await client.submit(REALTIME, prompt="a fox")
        assert Ticket("realtime", 1) == reply.ticket
        await closings[0]
        with pytest.raises(ClientClosed):
            await client.submit(REALTIME, prompt="a dog")

    virtually(main)


def test_generate_many_raises_when_hook_cancels_itself(virtually, service):
    """A hook that ends as cancelled ends the loop with an error, and not silently."""

    async def store(_):
        raise asyncio.CancelledError

    async def main():
        here = service()
        async with here.client(on_submitted=store) as client:
            outcomes = client.generate_many([(REALTIME, {"prompt": "a fox"})])
            with pytest.raises(RuntimeError, match="cancelled from within") as caught:
                await anext(outcomes)
        assert "realtime:1" in noted(caught.value.__cause__)

    virtually(main)


@pytest.mark.parametrize("kind", [TransportError, RateLimited, OSError])
async def test_batch_raises_hook_error(service, tmp_path, kind):
    """The ticket is in the journal, and the same program gets it from there."""
    here = service(*[lambda *_: json_response(status="processing", id=7, output=[])] * 2)
    steps = iter([kind("the hook broke")])

    async def store(_):
        for error in steps:
            raise error

    path = tmp_path / "a.journal"
    async with (
        here.client(on_submitted=store, pace=QUICK) as client,
        Batch.open(path, client=client) as batch,
    ):
        with pytest.raises(kind, match="the hook broke") as caught:
            await batch.submit(REALTIME, prompt="a fox", track_id=1)
        assert "realtime:7" in noted(caught.value)
        begun = await batch.submit(REALTIME, prompt="a fox", track_id=1)
    assert Ticket("realtime", 7) == begun.ticket
    assert 1 == len(here.submits)
