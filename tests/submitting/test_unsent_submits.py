"""Submits that cannot be sent: they are logged, given up in time, and cost nothing."""

import asyncio
import logging

import pytest

from modelslab_async import Client, Pace, Processing, Request, Response, TransportError

from .conftest import (
    KEY,
    QUICK,
    REALTIME,
    Service,
    accept,
    connection_lost,
    json_response,
    never_left,
)

IMG2IMG = "realtime/img2img"


def now():
    return asyncio.get_running_loop().time()


class Unreachable:
    """A network without a route: nothing connects, and no attempt fails before its time."""

    def __init__(self):
        self.requests: list[Request] = []

    async def exchange(self, request: Request, /) -> Response:
        self.requests.append(request)
        await asyncio.sleep(120.0 if request.connect_timeout is None else request.connect_timeout)
        raise TransportError("no connection", may_have_been_sent=False)


class Uploads(Service):
    """A service that cannot be reached by uploads until some time, and then takes as long."""

    def __init__(self, *steps, reachable_at=0.0, seconds=0.0):
        super().__init__(*steps)
        self.reachable_at, self.seconds = reachable_at, seconds

    async def exchange(self, request: Request, /) -> Response:
        if "base64" not in request.url:
            return await super().exchange(request)
        if now() < self.reachable_at:
            never_left()
        await asyncio.sleep(self.seconds)
        return json_response(status="success", link="https://x.example/up.png")


class BusyUntil(Service):
    """A service whose jobs end at some time."""

    ends_at = 60.0

    async def exchange(self, request: Request, /) -> Response:
        if "/fetch" in request.url and now() < self.ends_at:
            return json_response(status="processing", output=[])
        return await super().exchange(request)


def test_offline_submit_is_given_up_within_thirty_seconds(virtually, service):
    """The error names the reason, says that nothing was paid, and what to check."""

    async def main():
        here = service(*[never_left] * 99)
        async with here.client() as client:
            with pytest.raises(TransportError) as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert now() <= 30.0
        assert 3 <= len(here.submits)
        assert not caught.value.may_have_been_sent
        text = str(caught.value)
        for part in (REALTIME, "connection refused", "nothing was paid"):
            assert part in text
        assert text.endswith("check the network, the base URL and the proxy")
        assert KEY not in text

    virtually(main)


def test_submit_without_a_route_is_given_up_within_thirty_seconds(virtually):
    """The limit also ends an attempt that hangs while it connects."""

    async def main():
        network = Unreachable()
        async with Client(KEY, http=network) as client:
            with pytest.raises(TransportError):
                await client.submit(REALTIME, prompt="a fox")
        assert now() <= 30.0 + 1.0

    virtually(main)


def test_upload_without_a_route_is_given_up_within_thirty_seconds(virtually):
    """A file that cannot be uploaded ends its submit in the same time."""

    async def main():
        network = Unreachable()
        async with Client(KEY, http=network) as client:
            with pytest.raises(TransportError, match="nothing was paid"):
                await client.submit(IMG2IMG, prompt="winter", init_image=b"\x89PNG\r\n\x1a\n...")
        assert now() <= 30.0 + 1.0

    virtually(main)


def test_unsent_timeout_is_the_caller_s(virtually, service):
    """With a longer limit, the pace's budget of attempts ends the submit."""

    async def main():
        here = service(*[never_left] * 99)
        async with here.client(unsent_timeout=float("inf")) as client:
            with pytest.raises(TransportError, match="10 tries"):
                await client.submit(REALTIME, prompt="a fox")
        assert 10 == len(here.submits)
        assert now() > 100.0

    virtually(main)


def test_every_unsent_attempt_is_logged_with_the_next_try(virtually, service, caplog):
    """One warning each, with the reason, the next try and the end."""
    caplog.set_level(logging.WARNING, "modelslab_async")

    async def main():
        here = service(never_left, never_left, accept)
        async with here.client() as client:
            assert isinstance(await client.submit(REALTIME, prompt="a fox"), Processing)

    virtually(main)
    told = [record.getMessage() for record in caplog.records]
    assert 2 == len(told)
    for text in told:
        assert "realtime/text2img cannot be sent: connection refused; nothing was paid" in text
        assert "the next try is in " in text
        assert "the last one within " in text
        assert "check the network, the base URL and the proxy" in text
        assert KEY not in text


def test_limit_begins_again_after_an_answer(virtually, service):
    """A service that answered can be reached, so an earlier outage does not count."""

    async def main():
        def answer_late(*_):
            return Response(
                status_code=429,
                body=b'{"status": "error", "message": "Too many requests", "retry_after": 60}',
            )

        here = service(never_left, never_left, answer_late, never_left, never_left, accept)
        async with here.client() as client:
            assert isinstance(await client.submit(REALTIME, prompt="a fox"), Processing)
        assert now() > 60.0
        assert 1 == here.starts.total()

    virtually(main)


@pytest.mark.parametrize(
    "here",
    [
        Uploads(never_left, accept, seconds=40.0),
        Uploads(never_left, never_left, never_left, accept, reachable_at=25.0),
    ],
    ids=["slow upload", "upload after an outage"],
)
def test_limit_begins_again_after_an_upload(virtually, here):
    """The service has answered, so the time of the upload and an outage before it do not count."""

    async def main():
        async with here.client(submit_timeout=60.0) as client:
            begun = await client.submit(IMG2IMG, prompt="winter", init_image=b"\x89PNG\r\n\x1a\n..")
        assert isinstance(begun, Processing)
        # The upload itself, or the outage before it and the failed submit after it.
        assert now() > 30.0

    virtually(main)


def test_wait_for_a_slot_between_two_attempts_does_not_count(virtually):
    """Another submit takes the slot for a minute, and a new failure is tried again."""

    async def main():
        here = BusyUntil(never_left, accept, never_left, accept)
        async with here.client(queue=1) as client:
            unsent = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(0.5)
            await client.submit(REALTIME, prompt="a dog")
            assert isinstance(await unsent, Processing)
        assert now() > here.ends_at

    virtually(main)


def test_lost_connection_is_not_logged_as_unsent(virtually, service, caplog):
    """What may have left is a `SubmitUncertain`, and no warning claims that nothing was paid."""

    async def main():
        here = service(connection_lost)
        async with here.client(pace=QUICK) as client:
            with pytest.raises(Exception, match="may or may not have been"):
                await client.submit(REALTIME, prompt="a fox")

    virtually(main)
    assert "nothing was paid" not in caplog.text


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "30", None])
def test_unsent_timeout_is_checked(service, wrong):
    """It is a number of seconds above 0."""
    with pytest.raises((TypeError, ValueError), match="unsent_timeout is a number of seconds"):
        service().client(unsent_timeout=wrong)


def test_pace_still_bounds_the_attempts(virtually, service):
    """Few allowed failures end a submit before its time."""

    async def main():
        here = service(*[never_left] * 9)
        async with here.client(pace=Pace(max_failures=1)) as client:
            with pytest.raises(TransportError, match="one try"):
                await client.submit(REALTIME, prompt="a fox")
        assert 1 == len(here.submits)

    virtually(main)
