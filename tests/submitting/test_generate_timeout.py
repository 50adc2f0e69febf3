"""The timeout of `generate`: it counts from the call, and its error says in which part it ended."""

import asyncio
import sys

import pytest

from modelslab_async import (
    Client,
    ModelsLabError,
    RateLimited,
    Request,
    Response,
    Submitted,
    SubmitTimeout,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    WaitTimeout,
)
from modelslab_async.emulator import Jobs

from .conftest import (
    KEY,
    REALTIME,
    Service,
    accept,
    finish_at_once,
    json_response,
    never_left,
)

IMG2IMG = "realtime/img2img"
PNG = b"\x89PNG\r\n\x1a\n and so on"


def now():
    return asyncio.get_running_loop().time()


class Slow(Service):
    """A service whose parts take as long as a test says: connecting, uploading, answering."""

    def __init__(self, *steps, connect=0.0, upload=0.0, answer=0.0):
        super().__init__(*steps)
        self.connect, self.upload, self.answer = connect, upload, answer
        self.left = 0

    async def exchange(self, request: Request, /) -> Response:
        if "/fetch" in request.url:
            return json_response(status="processing", output=[])
        limit = request.connect_timeout or 120.0
        await asyncio.sleep(min(self.connect, limit))
        if limit < self.connect:
            raise TransportError("no connection", may_have_been_sent=False)
        self.left += 1
        if "base64" in request.url:
            await asyncio.sleep(self.upload)
            return json_response(status="success", link="https://x.example/up.png")
        await asyncio.sleep(self.answer)
        return await super().exchange(request)


async def error_of(client, endpoint=REALTIME, timeout=5.0, **params):
    with pytest.raises(ModelsLabError) as caught:
        await client.generate(endpoint, timeout=timeout, prompt="a fox", **params)
    error = caught.value
    assert KEY not in str(error)
    return error


@pytest.mark.parametrize(
    ("endpoint", "files"), [(REALTIME, {}), (IMG2IMG, {"init_image": PNG})], ids=["none", "a file"]
)
def test_timeout_of_zero_reads_no_file(virtually, endpoint, files):
    """The error does not say that a file was being read."""

    async def main():
        service = Slow()
        async with service.client() as client:
            error = await error_of(client, endpoint, timeout=0, **files)
        assert isinstance(error, SubmitTimeout)
        assert "slot" == error.stage
        assert "files" not in str(error)
        assert 0 == service.left

    virtually(main)


def test_time_is_up_while_waiting_for_a_slot(virtually, world):
    """Nothing was sent: the error says so, and no later slot starts the work after all."""

    async def main():
        async with world(queue=1, emulated={"jobs": Jobs(duration=(50.0, 50.0))}) as here:
            await here.client.submit(REALTIME, prompt="a dog")
            error = await error_of(here.client)
            assert 5.0 == now()
            assert isinstance(error, SubmitTimeout)
            assert isinstance(error, TimeoutError)
            assert ("slot", REALTIME) == (error.stage, error.endpoint)
            assert "5 s: it still waited for a slot; nothing was paid" in str(error)
            await asyncio.sleep(100.0)
            assert 1 == len(here.emulator.submits)

    virtually(main)


def test_time_is_up_while_uploading(virtually):
    """The upload started no work, and the slot is free again."""

    async def main():
        here = Slow(upload=60.0)
        async with here.client(queue=1) as client:
            error = await error_of(client, IMG2IMG, init_image=PNG)
            assert 5.0 == now()
            assert isinstance(error, SubmitTimeout)
            assert "upload" == error.stage
            assert "nothing was paid" in str(error)
            await client.submit(REALTIME, prompt="a dog")
            assert now() < 6.0
        assert 1 == here.starts.total()

    virtually(main)


# Attempts begin at 0 s, after 1.25 to 2.5 s, and 2.5 to 5 s later, and take 0.01 s each.
@pytest.mark.parametrize("timeout", [1.0, 3.0])
def test_time_is_up_while_offline(virtually, service, timeout):
    """Between two attempts the reason is that of the last one."""

    async def main():
        here = service(*[never_left] * 99)
        async with here.client() as client:
            error = await error_of(client, timeout=timeout)
            assert timeout == now()
        assert isinstance(error, SubmitTimeout)
        assert "send" == error.stage
        assert "it could not be sent (connection refused); nothing was paid" in str(error)
        assert isinstance(error.__cause__, TransportError)

    virtually(main)


def test_time_is_up_while_connecting(virtually):
    """A request without a connection never leaves later, however long connecting takes."""

    async def main():
        here = Slow(connect=60.0)
        async with here.client() as client:
            error = await error_of(client)
            assert 5.0 == pytest.approx(now())
            assert isinstance(error, SubmitTimeout)
            assert "send" == error.stage
            await asyncio.sleep(200.0)
        assert 0 == here.left

    virtually(main)


def test_time_is_up_while_connecting_after_an_upload(virtually):
    """The submit that follows the upload does not leave after the timeout."""

    async def main():
        here = Slow(connect=0.8, upload=4.0)
        async with here.client() as client:
            error = await error_of(client, IMG2IMG, init_image=PNG)
            assert 5.0 == pytest.approx(now())
            assert isinstance(error, SubmitTimeout)
            assert "send" == error.stage
            await asyncio.sleep(200.0)
        assert [] == here.submits

    virtually(main)


def test_time_is_up_while_in_flight(virtually, caplog):
    """It may have been paid: a `SubmitUncertain`, and `on_submitted` still gets the ticket."""
    stored = []

    async def store(news: Submitted) -> None:
        stored.append(news.ticket)

    async def main():
        here = Slow(answer=60.0)
        async with here.client(on_submitted=store) as client:
            error = await error_of(client, track_id="a-mark")
            assert 5.0 <= now() < 6.0
            assert isinstance(error, SubmitUncertain)
            assert ("a-mark", REALTIME) == (error.track_id, error.endpoint)
            assert "may have been sent, and no reply came within the timeout of 5 s" in str(error)
            await asyncio.sleep(100.0)
        assert 1 == here.starts.total()
        assert [Ticket("realtime", 1)] == stored

    virtually(main)
    assert "started, though its caller has gone: realtime:1" in caplog.text


@pytest.mark.parametrize("after", [4.0, 5.2])
def test_caller_that_leaves_around_the_deadline_loses_no_ticket(virtually, caplog, after):
    """The log has the ticket, whether the caller is cancelled before or just after its timeout."""

    async def main():
        here = Slow(answer=60.0)
        async with here.client() as client:
            generate = client.generate(REALTIME, timeout=5.0, prompt="a fox")
            generating = asyncio.create_task(generate)
            await asyncio.sleep(after)
            generating.cancel()
            with pytest.raises(asyncio.CancelledError):
                await generating

    virtually(main)
    assert 1 == caplog.text.count("started, though its caller has gone: realtime:1")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
@pytest.mark.parametrize("connect", [0.0, 60.0])
def test_eager_tasks_do_not_change_what_timeout_says(virtually, connect):
    """A submit in flight is uncertain, and one that still connects is unsent."""

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        here = Slow(connect=connect, answer=60.0)
        async with here.client() as client:
            error = await error_of(client)
        assert (SubmitTimeout if connect else SubmitUncertain) is type(error)
        assert here.left == here.starts.total()

    virtually(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
def test_eager_hook_that_closes_client_gets_error(virtually):
    """The hook of a transport that answers without a pause cannot wait for itself."""
    errors = []

    class Immediate:
        async def exchange(self, _request):
            return json_response(status="processing", id=1, eta=3)

    async def close(_: Submitted) -> None:
        try:
            await client.aclose()
        except RuntimeError as error:
            errors.append(error)

    async def main():
        nonlocal client
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with Client(KEY, http=Immediate(), on_submitted=close) as client:
            await client.submit(REALTIME, prompt="a fox")

    client = None
    virtually(main)
    assert 1 == len(errors)


def test_time_is_up_while_the_work_runs(virtually):
    """The error has the ticket, and says how the time was spent."""

    async def main():
        here = Slow(answer=2.0)
        async with here.client() as client:
            error = await error_of(client, timeout=10.0)
            assert 10.0 == now()
            assert isinstance(error, WaitTimeout)
            assert Ticket("realtime", 1) == error.ticket
            assert "started within 2.01 s, then not done after 7.99 s" in str(error)

    virtually(main)


def test_time_is_up_while_the_rate_is_limited(virtually, service):
    """A refusal for the rate started nothing, so the wait for a slot is what ended."""

    async def main():
        wait = {"message": "Too many requests", "retry_after": 60}
        here = service(*[lambda *_: json_response(429, status="error", **wait)] * 9)
        async with here.client() as client:
            error = await error_of(client)
        assert 5.0 == now()
        assert isinstance(error, SubmitTimeout)
        assert isinstance(error.__cause__, RateLimited)

    virtually(main)


@pytest.mark.parametrize("answer", [4.9, 5.0, 5.2])
def test_reply_that_comes_with_the_deadline_is_not_lost(virtually, answer):
    """The caller gets the ticket of work that was started in the moment the time was up."""

    async def main():
        here = Slow(answer=answer)
        async with here.client() as client:
            error = await error_of(client)
            assert isinstance(error, WaitTimeout)
            assert Ticket("realtime", 1) == error.ticket

    virtually(main)


def test_timeout_of_zero_starts_nothing(virtually, service):
    """It gives up at once, before anything is sent."""

    async def main():
        here = service()
        async with here.client() as client:
            error = await error_of(client, timeout=0)
        assert isinstance(error, SubmitTimeout)
        assert [] == here.submits

    virtually(main)


@pytest.mark.parametrize("timeout", [None, float("inf"), 60.0])
def test_result_in_time_is_returned(virtually, service, timeout):
    """A timeout that does not pass changes nothing."""

    async def main():
        here = service(never_left, accept)
        async with here.client() as client:
            result = await client.generate(REALTIME, timeout=timeout, prompt="a fox")
        assert isinstance(result, Success)
        assert 1 == here.starts.total()

    virtually(main)


def test_error_of_a_hook_at_the_deadline_is_raised(virtually):
    """What `on_submitted` raises within the last moment reaches the caller, with its note."""

    async def broken(_: Submitted) -> None:
        await asyncio.sleep(0.3)
        raise OSError("the disk is full")

    async def main():
        here = Slow(answer=4.9)
        async with here.client(on_submitted=broken) as client:
            with pytest.raises(OSError, match="disk is full") as caught:
                await client.generate(REALTIME, timeout=5.0, prompt="a fox")
        assert "started as realtime:1" in caught.value.__notes__[0]

    virtually(main)


def test_time_is_up_while_a_hook_stores_the_ticket(virtually, caplog):
    """The reply has come, so the error has its ticket; the hook goes on until it has stored it."""
    stored = []

    async def store(news: Submitted) -> None:
        await asyncio.sleep(60.0)
        stored.append(news.ticket)

    async def main():
        here = Slow(answer=2.0)
        async with here.client(on_submitted=store) as client:
            error = await error_of(client)
            assert 5.0 <= now() < 6.0
            assert isinstance(error, WaitTimeout)
            assert Ticket("realtime", 1) == error.ticket
            assert [] == stored
            await asyncio.sleep(100.0)
            assert [Ticket("realtime", 1)] == stored

    virtually(main)
    assert "" == caplog.text


def test_result_is_returned_while_a_hook_stores_it(virtually):
    """Work that was done at once is returned, and the hook goes on."""
    stored = []

    async def store(news: Submitted) -> None:
        await asyncio.sleep(60.0)
        stored.append(news.ticket)

    async def main():
        here = Slow(finish_at_once)
        async with here.client(on_submitted=store) as client:
            success = await client.generate(REALTIME, timeout=5.0, prompt="a fox")
            assert isinstance(success, Success)
        assert [success.ticket] == stored

    virtually(main)


def test_error_of_a_hook_long_after_the_deadline_is_logged(virtually, caplog):
    """The caller has its ticket, and the log says that the hook failed for it."""

    async def broken(_: Submitted) -> None:
        await asyncio.sleep(60.0)
        raise OSError("the disk is full")

    async def main():
        here = Slow()
        async with here.client(on_submitted=broken) as client:
            assert isinstance(await error_of(client), WaitTimeout)

    virtually(main)
    assert "missed OSError: realtime:1" in caplog.text


def test_reply_of_an_earlier_attempt_is_no_result(virtually):
    """After a refusal for the rate, a second attempt that gets no reply is in doubt."""

    async def main():
        here = Slow(lambda *_: json_response(429, status="error", retry_after=1), answer=2.0)
        async with here.client() as client:
            error = await error_of(client, timeout=4.0)
        assert isinstance(error, SubmitUncertain)

    virtually(main)
