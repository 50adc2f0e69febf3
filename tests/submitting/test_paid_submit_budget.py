"""`max_submits`: a client never pays for more than its caller allowed."""

import asyncio

import pytest

from modelslab_async import (
    AuthenticationError,
    GenerationFailed,
    Pace,
    SubmitLimitReached,
    SubmitUncertain,
    Success,
    TransportError,
    Unsubmitted,
)

from .conftest import (
    KEY,
    QUICK,
    REALTIME,
    Service,
    accept,
    connection_lost,
    finish_at_once,
    json_response,
    lost_after_start,
    never_left,
    queue_full,
)


def refused(*_):
    return json_response(401, status="error", message="Invalid API key")


def failed(service, fields):
    service.start(fields)
    return json_response(status="failed", id="", message="Failed, Try Again")


async def submit_all(client, count):
    submits = (client.submit(REALTIME, prompt=str(number)) for number in range(count))
    return await asyncio.gather(*submits, return_exceptions=True)


def test_submit_beyond_the_limit_is_refused_before_it_is_sent(virtually, service):
    """The error says how many were made and what to do."""

    async def main():
        here = service(finish_at_once, finish_at_once)
        async with here.client(max_submits=2) as client:
            for number in range(2):
                await client.submit(REALTIME, prompt=str(number))
            with pytest.raises(SubmitLimitReached) as caught:
                await client.submit(REALTIME, prompt="another")
        assert 2 == len(here.submits)
        assert (2, 2) == (caught.value.limit, caught.value.made)
        text = str(caught.value)
        assert "max_submits=2 allows no more submits: 2 were made" in text
        assert "nothing was sent; raise max_submits, or make another client" in text
        assert KEY not in text

    virtually(main)


def test_limit_of_zero_refuses_each_submit(virtually, service):
    """Such a client can wait for tickets, but pays for nothing."""

    async def main():
        here = service()
        async with here.client(max_submits=0) as client:
            with pytest.raises(SubmitLimitReached, match="max_submits=0 allows no more submits"):
                await client.submit(REALTIME, prompt="a fox")
        assert [] == here.submits

    virtually(main)


@pytest.mark.parametrize("queue", [None, 2, 5])
def test_concurrent_submits_never_exceed_the_limit(virtually, service, queue):
    """Those in progress count too."""

    async def main():
        here = service()
        async with here.client(max_submits=3, queue=queue) as client:
            results = await submit_all(client, 20)
        assert 3 == here.starts.total()
        assert 17 == sum(isinstance(each, SubmitLimitReached) for each in results)

    virtually(main)


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([never_left] * 3, TransportError),
        ([refused], AuthenticationError),
        ([queue_full] * 3, Exception),
    ],
    ids=["never left", "refused", "limited"],
)
def test_submit_that_started_nothing_gives_its_share_back(virtually, service, steps, error):
    """It can be made again."""

    async def main():
        here = service(*steps)
        async with here.client(max_submits=1, pace=Pace(max_failures=len(steps))) as client:
            with pytest.raises(error):
                await client.submit(REALTIME, prompt="a fox")
            await client.submit(REALTIME, prompt="a fox")
            with pytest.raises(SubmitLimitReached):
                await client.submit(REALTIME, prompt="a dog")
        assert 1 == here.starts.total()

    virtually(main)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (connection_lost, SubmitUncertain),
        (lost_after_start, SubmitUncertain),
        (failed, GenerationFailed),
    ],
)
def test_submit_that_may_be_paid_keeps_its_share(virtually, service, step, error):
    """What may have started work counts, whatever its caller got."""

    async def main():
        here = service(step)
        async with here.client(max_submits=1, pace=QUICK) as client:
            with pytest.raises(error):
                await client.submit(REALTIME, prompt="a fox")
            with pytest.raises(SubmitLimitReached, match="1 were made"):
                await client.submit(REALTIME, prompt="a fox")
        assert 1 == len(here.submits)

    virtually(main)


def test_cancelled_submit_in_flight_keeps_its_share(virtually, service):
    """Its request goes on without its caller, and may be paid for."""

    async def main():
        here = service()
        async with here.client(max_submits=1) as client:
            submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(0.005)
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)
            with pytest.raises(SubmitLimitReached):
                await client.submit(REALTIME, prompt="a dog")
            await asyncio.sleep(1.0)
            with pytest.raises(SubmitLimitReached):
                await client.submit(REALTIME, prompt="a dog")
        assert 1 == here.starts.total()

    virtually(main)


def test_submit_cancelled_in_the_queue_gives_its_share_back(virtually, service):
    """Nothing was sent for it."""

    async def main():
        here = service()
        async with here.client(max_submits=2, queue=1) as client:
            first = await client.submit(REALTIME, prompt="a fox")
            waiting = asyncio.create_task(client.submit(REALTIME, prompt="a dog"))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await client.wait(first.ticket)
            await client.submit(REALTIME, prompt="a cat")
        assert 2 == here.starts.total()

    virtually(main)


def test_hook_that_raises_keeps_the_share(virtually, service):
    """The work was started, whatever the caller's own code does with the news."""

    async def broken(_):
        raise OSError("the disk is full")

    async def main():
        here = service()
        async with here.client(max_submits=1, on_submitted=broken) as client:
            with pytest.raises(OSError, match="disk is full"):
                await client.submit(REALTIME, prompt="a fox")
            with pytest.raises(SubmitLimitReached):
                await client.submit(REALTIME, prompt="a fox")

    virtually(main)


def test_bulk_generation_ends_within_the_limit(virtually, service):
    """The requests beyond it are `Unsubmitted`, and the others are not disturbed."""

    async def main():
        here = service(accept, accept, accept)
        requests = [(REALTIME, {"prompt": str(number)}) for number in range(7)]
        async with here.client(max_submits=3) as client:
            outcomes = [outcome async for _, outcome in client.generate_many(requests)]
        assert 3 == sum(isinstance(each, Success) for each in outcomes)
        refused = [each.cause for each in outcomes if isinstance(each, Unsubmitted)]
        assert [SubmitLimitReached] * 4 == [type(each) for each in refused]
        assert 3 == here.starts.total()

    virtually(main)


def test_utility_requests_are_not_counted(virtually):
    """An upload and an `ask` start no paid work."""

    class Site(Service):
        async def exchange(self, request, /):
            if "base64" in request.url:
                return json_response(status="success", link="https://x.example/up.png")
            return await super().exchange(request)

    async def main():
        here = Site()
        async with here.client(max_submits=1) as client:
            picture = b"\x89PNG\r\n\x1a\n and so on"
            await client.submit("realtime/img2img", prompt="winter", init_image=picture)
        assert 1 == here.starts.total()

    virtually(main)
