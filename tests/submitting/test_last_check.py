"""The last check before a submit is sent. A recorder may take long, and its caller may leave."""

import asyncio

import pytest

from modelslab_async import (
    Client,
    ClientClosed,
    JournalError,
    ModelsLabError,
    Processing,
    Submission,
    SubmitTimeout,
    SubmitUncertain,
    TransportError,
    Unsubmitted,
)
from modelslab_async._engine.bulk_generation import BulkSubmits
from modelslab_async._submitting.submit_recorder import SubmitRecorder, reply_or_raise

from .conftest import KEY, QUICK, REALTIME


class Recorder(SubmitRecorder):
    """Takes long to record a submit. Then it may refuse to let the submit be sent."""

    def __init__(self, wait=0.0, refusals=(), at_end=lambda: None):
        self.wait, self.refusals, self.at_end = wait, list(refusals), at_end
        self.results = []

    async def begin(self, _submit_request):
        await asyncio.sleep(self.wait)
        self.at_end()

    def check_sendable(self, _task):
        if self.refusals:
            raise self.refusals.pop(0)

    async def finish(self, _submit_request, result):
        self.results.append(result)


class SlowToConnect:
    """Connects for five seconds, and then asks whether the request may still be sent."""

    def __init__(self, service):
        self.service = service

    async def exchange(self, request):
        await asyncio.sleep(5.0)
        request.check_sendable()
        return await self.service.exchange(request)


async def submitted(client, recorder):
    submit_request = await client.engine.prepare(Submission(REALTIME, {"prompt": "a fox"}))
    return reply_or_raise(await client.engine.submitter.submit(submit_request, recorder))


@pytest.mark.parametrize(
    "moment", ["while it is recorded", "once it is recorded", "while it connects"]
)
def test_submit_whose_caller_leaves_before_it_is_sent_is_never_sent(virtually, service, moment):
    """The recorder learns of it, and the slot and the share of `max_submits` are free again."""

    async def main():
        here = service()
        is_recorded = moment == "while it connects"
        recorder = Recorder(0.0 if is_recorded else 5.0)
        http = SlowToConnect(here) if is_recorded else here
        async with Client(KEY, http=http, queue=1, max_submits=1) as client:
            submitting = asyncio.create_task(submitted(client, recorder))
            if moment == "once it is recorded":
                recorder.at_end = submitting.cancel
            else:
                asyncio.get_running_loop().call_later(1.0, submitting.cancel)
            with pytest.raises(asyncio.CancelledError):
                await submitting
            await asyncio.sleep(10.0)
            assert [] == here.submits
            (result,) = recorder.results
            assert type(result) is ModelsLabError
            assert "left before the submit was sent; nothing was sent" in str(result)
            assert isinstance(await submitted(client, Recorder()), Processing)
        assert 1 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize("moment", ["while it is recorded", "while it connects"])
def test_submit_whose_client_closes_before_it_is_sent_is_never_sent(virtually, service, moment):
    """The caller and the recorder get an error that says so, and no request is made."""

    async def main():
        here = service()
        is_recorded = moment == "while it connects"
        recorder = Recorder(0.0 if is_recorded else 5.0)
        http = SlowToConnect(here) if is_recorded else here
        async with Client(KEY, http=http) as client:
            submitting = asyncio.create_task(submitted(client, recorder))
            await asyncio.sleep(1.0)
        with pytest.raises(ClientClosed, match="nothing was started") as caught:
            await submitting
        assert [caught.value] == recorder.results
        assert [] == here.submits

    virtually(main)


def test_time_is_up_while_a_submit_is_recorded(virtually, service):
    """Nothing was paid: the error says so, and nothing is sent when the record is there."""

    async def main():
        here = service()
        async with here.client() as client:
            submits, loop = BulkSubmits(client.engine, Recorder(60.0)), asyncio.get_running_loop()
            submission = Submission(REALTIME, {"prompt": "a fox"})
            result = await submits.submit_in_time(submission, 5.0, loop.time() + 5.0)
            assert 5.0 == loop.time()
            assert isinstance(result, Unsubmitted)
            assert not isinstance(result.cause, SubmitUncertain)
            assert isinstance(result.cause, SubmitTimeout)
            assert "send" == result.cause.stage
            assert "nothing was paid" in str(result.cause)
            await asyncio.sleep(100.0)
        assert [] == here.submits

    virtually(main)


def test_time_is_up_just_before_a_submit_has_its_connection(virtually, service):
    """The caller learns that nothing was paid, and of no other error."""

    async def main():
        here, loop = service(), asyncio.get_running_loop()
        async with Client(KEY, http=SlowToConnect(here)) as client:
            submits = BulkSubmits(client.engine, Recorder())
            submission = Submission(REALTIME, {"prompt": "a fox"})
            result = await submits.submit_in_time(submission, 4.9, loop.time() + 4.9)
            assert isinstance(result, Unsubmitted)
            assert isinstance(result.cause, SubmitTimeout)
            assert "it could not be sent; nothing was paid" in str(result.cause)
        assert [] == here.submits

    virtually(main)


def test_submit_that_its_recorder_stops_is_not_sent(virtually, service):
    """The caller and the recorder get the recorder's own error, and the slot is free again."""

    async def main():
        here, error = service(), JournalError("it is closing; nothing was sent")
        async with here.client(queue=1, max_submits=1) as client:
            recorder = Recorder(refusals=[error])
            with pytest.raises(JournalError) as caught:
                await submitted(client, recorder)
            assert error is caught.value
            assert [error] == recorder.results
            assert [] == here.submits
            await submitted(client, recorder)
        assert 1 == len(here.submits)

    virtually(main)


def test_submit_that_its_recorder_puts_off_is_recorded_again(virtually, service, caplog):
    """It is sent once, and the log gives the recorder's advice and not one about the network."""
    error = TransportError("its record is old", may_have_been_sent=False)
    error.advice = "be quicker"

    async def main():
        here, recorder = service(), Recorder(refusals=[error])
        async with here.client(pace=QUICK) as client:
            reply = await submitted(client, recorder)
        assert [error, reply] == recorder.results
        assert 1 == len(here.submits)

    virtually(main)
    (record,) = caplog.records
    assert "its record is old; nothing was paid; the next try is in" in record.getMessage()
    assert record.getMessage().endswith("be quicker")
