"""A recorder that cannot record the result of a submit: its exception is no reply of the server."""

import asyncio

import pytest

from modelslab_async import (
    RateLimited,
    Submission,
    SubmitLimitReached,
    TransportError,
)
from modelslab_async._engine.bulk_generation import BulkSubmits
from modelslab_async._submitting.submit_recorder import CallbackFailure, SubmitRecorder

from .conftest import (
    QUICK,
    REALTIME,
    accept,
    connection_lost,
    finish_at_once,
    json_response,
    never_left,
    queue_full,
)


def failed(service, fields):
    id_ = service.start(fields)
    return json_response(status="failed", id=id_, message="Failed, Try Again")


def refused(*_):
    return json_response(401, status="error", message="Invalid API key")


class Broken(SubmitRecorder):
    """Raises an exception in place of recording a result."""

    def __init__(self, error, wait=0.0):
        self.error = error
        self.wait = wait

    async def finish(self, _submit_request, _result):
        await asyncio.sleep(self.wait)
        raise self.error


async def submitted(client, recorder, **parameters):
    parameters = {"prompt": "a fox", **parameters}
    submit_request = await client.engine.prepare(Submission(REALTIME, parameters))
    return await client.engine.submitter.submit(submit_request, recorder)


@pytest.mark.parametrize("kind", [OSError, RateLimited, TransportError])
@pytest.mark.parametrize(
    ("step", "note"),
    [
        (accept, "after the work was started as realtime:1"),
        (finish_at_once, "after the work was started as realtime:1"),
        (failed, "after the submit ended with GenerationFailed: realtime:1: Failed, Try Again"),
        (connection_lost, "after the submit ended with SubmitUncertain: realtime/text2img "),
        (never_left, "after the submit ended with TransportError: connection refused"),
        (queue_full, "after the submit ended with RateLimited: "),
        (refused, "after the submit ended with AuthenticationError: "),
    ],
)
def test_error_of_a_recorder_is_told_from_replies(virtually, service, step, note, kind):
    """Whatever the server replied, nothing is sent again, and a note says what happened."""

    async def main():
        here = service(step)
        async with here.client(pace=QUICK) as client:
            result = await submitted(client, Broken(error := kind("mine")))
        assert isinstance(result, CallbackFailure)
        assert error is result.error
        assert note in error.__notes__[-1]
        assert 1 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize("kind", [OSError, RateLimited])
@pytest.mark.parametrize("step", [accept, failed, connection_lost])
def test_unrecorded_submit_that_may_be_paid_keeps_its_share(virtually, service, step, kind):
    """The limit of submits holds, although the caller only gets the recorder's exception."""

    async def main():
        async with service(step).client(max_submits=1, pace=QUICK) as client:
            result = await submitted(client, Broken(error := kind("mine")))
            assert error is result.error
            with pytest.raises(SubmitLimitReached, match="1 were made"):
                await submitted(client, SubmitRecorder())

    virtually(main)


@pytest.mark.parametrize("step", [never_left, queue_full, refused])
def test_unrecorded_submit_that_started_nothing_gives_its_share_back(virtually, service, step):
    """It can be made again."""

    async def main():
        async with service(step).client(max_submits=1, pace=QUICK) as client:
            result = await submitted(client, Broken(OSError("disk")))
            assert isinstance(result.error, OSError)
            assert "realtime:1" == str((await submitted(client, SubmitRecorder())).ticket)

    virtually(main)


@pytest.mark.parametrize(
    ("step", "logged"),
    [
        (accept, "started, but its caller has gone and missed RateLimited: realtime:1"),
        (failed, "its caller has gone and missed RateLimited: realtime:1: Failed, Try Again"),
        (connection_lost, "its caller has gone and missed RateLimited: realtime/text2img (track_"),
    ],
)
def test_unrecorded_submit_without_caller_is_logged(virtually, service, step, logged, caplog):
    """The log names the work that was started, or may have been."""

    async def main():
        async with service(step).client(pace=QUICK) as client:
            recorder = Broken(RateLimited("mine"), wait=0.1)
            submitting = asyncio.create_task(submitted(client, recorder))
            await asyncio.sleep(0.05)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting

    virtually(main)
    assert logged in caplog.text


def test_unrecorded_uncertain_submit_is_not_called_unpaid_at_the_deadline(virtually, service):
    """The recorder's own RateLimited does not say that the submit may be made again."""

    async def main():
        async with service(connection_lost).client(pace=QUICK) as client:
            error = RateLimited("mine")
            generation = BulkSubmits(client.engine, Broken(error, wait=0.3))
            loop = asyncio.get_running_loop()
            with pytest.raises(RateLimited) as caught:
                await generation.submit_in_time(
                    Submission(REALTIME, {"prompt": "a fox"}), 0.2, loop.time() + 0.2
                )
            assert error is caught.value

    virtually(main)
