"""Results of submits are kept until they are recorded."""

import asyncio

from modelslab_async import Processing, RateLimited, Ticket
from modelslab_async._batch.unrecorded_results import UnrecordedResults
from modelslab_async._journal.own_submits import OwnSubmit
from modelslab_async.journal import PendingSubmit


async def test_result_of_a_newer_submit_is_kept_while_an_older_one_is_recorded():
    """Two submits with the same track_id may end one after the other. Both results are written."""
    submit = PendingSubmit(track_id="7", endpoint="e", payload_hash="ab", recorded_at=0.0)
    ticket = Processing(ticket=Ticket("images", 1))
    written, begun, released = [], asyncio.Event(), asyncio.Event()

    async def write(own, _result):
        written.append(own.row_id)
        begun.set()
        await released.wait()

    unrecorded = UnrecordedResults(write, interval=1000.0)
    unrecorded.keep(OwnSubmit(submit, 1, 1), RateLimited("too many"))
    recording = asyncio.create_task(unrecorded.record("7"))
    await begun.wait()
    unrecorded.keep(OwnSubmit(submit, 2, 1), ticket)
    released.set()
    await recording
    await unrecorded.aclose()
    assert [1, 2] == written
