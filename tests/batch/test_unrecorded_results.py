"""Results of submits are kept until they are recorded."""

import asyncio

import pytest

from modelslab_async import JournalFull, Processing, RateLimited, SubmitUncertain, Ticket
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


@pytest.mark.parametrize("named", [None, Ticket("images", 1)])
async def test_ticket_of_an_uncertain_submit_that_cannot_be_recorded_is_logged(caplog, named):
    """Without a ticket, nothing is lost: the submit is uncertain in the journal anyway."""
    submit = PendingSubmit(track_id="7", endpoint="e", payload_hash="ab", recorded_at=0.0)

    async def write(_own, _reply):
        raise JournalFull("there is no room")

    unrecorded = UnrecordedResults(write, interval=1000.0)
    error = SubmitUncertain(
        f"the reply names {named}", ticket=named, endpoint="e", track_id="7", payload_hash="ab"
    )
    unrecorded.keep(OwnSubmit(submit, 1, 1), error)
    await unrecorded.aclose()
    assert (named is not None) == ("the reply names images:1" in caplog.text)


@pytest.mark.parametrize("was_begun", [False, True])
async def test_result_is_recorded_though_all_tasks_were_cancelled(was_begun):
    """`asyncio.run` does that at the end of a program, just before the journal is closed."""
    submit = PendingSubmit(track_id="7", endpoint="e", payload_hash="ab", recorded_at=0.0)
    ticket = Processing(ticket=Ticket("images", 1))
    begun, written = asyncio.Event(), []

    async def write(_own, reply):
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        written.append(reply)

    unrecorded = UnrecordedResults(write, interval=1000.0)
    unrecorded.keep(OwnSubmit(submit, 1, 1), ticket)
    if was_begun:
        await begun.wait()
    else:
        begun.set()
        # Now the task of the attempt exists, and has not begun.
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await unrecorded.aclose()
    assert [ticket] == written


async def test_results_of_two_submits_with_one_track_id_are_both_kept():
    """Another process may have withdrawn the first. Its ticket is paid for nevertheless."""
    submit = PendingSubmit(track_id="7", endpoint="e", payload_hash="ab", recorded_at=0.0)
    replies = [Processing(ticket=Ticket("images", number)) for number in (1, 2)]
    written, has_room = [], False

    async def write(_own, reply):
        if not has_room:
            raise JournalFull("there is no room")
        written.append(reply)

    unrecorded = UnrecordedResults(write, interval=1000.0)
    for row_id, reply in enumerate(replies):
        unrecorded.keep(OwnSubmit(submit, row_id, 1), reply)
    errors = await asyncio.gather(
        unrecorded.record("7"), unrecorded.record("7"), return_exceptions=True
    )
    assert [JournalFull] * 2 == [type(error) for error in errors]
    assert 2 == len({id(error) for error in errors})
    has_room = True
    await unrecorded.record("7")
    assert replies == written
    await unrecorded.aclose()
