"""stream: its window, its source, its timeouts and its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from modelslab_async import (
    InvalidRequest,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
)
from modelslab_async.emulator import ScriptedReply


def scripted_reply(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


def test_stream_reads_no_more_than_its_window(virtually, world):
    """No more tickets than the window are read before outcomes are taken."""
    taken = 0

    def source(tickets) -> Iterator[Ticket]:
        nonlocal taken
        for ticket in tickets:
            taken += 1
            yield ticket

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(100)
            stream = here.client.stream(source(tickets), window=10)
            assert isinstance(await anext(stream), Success)
            await asyncio.sleep(100.0)
            # The one beyond the window waits in the reader's hand.
            assert taken <= 12
            assert 99 == len([each async for each in stream])
            assert 100 == taken

    virtually(main)


def test_async_source_gives_early_outcomes(virtually, world):
    """Outcomes of early tickets come while the source still waits for later ones."""

    async def main():
        async with world() as here:

            async def source() -> AsyncIterator[str]:
                here.emulator.add_job("images:1", duration=1.0)
                yield "images:1"
                await asyncio.sleep(1000.0)
                here.emulator.add_job("images:2", duration=1.0)
                yield "images:2"

            clock = asyncio.get_running_loop().time
            ended_at = {str(each.ticket): clock() async for each in here.client.stream(source())}
            assert ended_at["images:1"] < 5.0
            assert 1000.0 < ended_at["images:2"] < 1005.0

    virtually(main)


def test_stream_raises_error_of_its_source(virtually, world):
    """The reader of a stream gets the exception of the source."""

    async def main():
        async with world() as here:

            def source() -> Iterator[str]:
                yield "images:1"
                raise KeyError("the file of ids is gone")

            with pytest.raises(KeyError, match="the file of ids"):
                async for _ in here.client.stream(source()):
                    pass

    virtually(main)


@pytest.mark.parametrize("leave", ["break", "cancel", "aclose"])
def test_stream_left_early_stops_polling(virtually, world, leave):
    """The tickets of a stream that is left early are not polled any more."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            others = [here.emulator.add_job(("images", n), duration=1000.0) for n in range(2, 20)]

            async def read():
                stream = here.client.stream(["images:1", *others])
                async for _ in stream:
                    if leave == "break":
                        break
                    if leave == "aclose":
                        await stream.aclose()
                        break

            reading = asyncio.create_task(read())
            await asyncio.sleep(3.0)
            reading.cancel()
            await asyncio.wait([reading])
            await asyncio.sleep(1.0)
            sent = len(here.wire.requests)
            await asyncio.sleep(500.0)
            assert sent == len(here.wire.requests)

    virtually(main)


def test_stream_timeout_counts_for_each_ticket(virtually, world):
    """Each ticket has its own timeout, counted from when it was read from the source."""

    async def main():
        async with world() as here:
            for number in range(4):
                here.emulator.add_job(("images", number), duration=1000.0)
            clock = asyncio.get_running_loop().time
            stream = here.client.stream([("images", n) for n in range(4)], timeout=5.0, window=2)
            ended_at = [clock() async for each in stream if isinstance(each, Unresolved)]
            assert [5.0, 5.0, 10.0, 10.0] == pytest.approx(ended_at)

    virtually(main)


def test_repeated_ticket_is_answered_from_memory(virtually, world):
    """A ticket that is named again after its outcome costs no further poll."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)

            async def source() -> AsyncIterator[str]:
                for _ in range(5):
                    yield "images:1"
                    await asyncio.sleep(10.0)

            assert 5 == len([each async for each in here.client.stream(source(), window=3)])
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_outcomes_come_before_error_of_source(virtually, world):
    """A malformed ticket at the end costs no result before it."""

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(50)
            stream = here.client.stream([*tickets, "imges:7", "images:8"])
            outcomes = [await anext(stream) for _ in tickets]
            with pytest.raises(ValueError, match="did you mean 'images'"):
                await anext(stream)
            assert set(tickets) == {each.ticket for each in outcomes}

    virtually(main)


def test_cancelled_source_ends_its_stream(virtually, world):
    """A source that awaits a cancelled task ends its stream with an error, and is closed."""
    closed = []

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=3.0)

            async def source():
                try:
                    yield "images:1"
                    raise asyncio.CancelledError
                finally:
                    closed.append(True)

            stream = here.client.stream(source())
            assert isinstance(await anext(stream), Success)
            with pytest.raises(RuntimeError, match="source of tickets was cancelled"):
                await anext(stream)

    virtually(main)
    assert [True] == closed


def test_repeated_ticket_has_a_new_timeout(virtually, world):
    """A ticket that is named again later has a full timeout."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            here.emulator.script(
                "images:2", [scripted_reply(400, status="error", message="x"), None]
            )
            here.emulator.add_job("images:2", duration=150.0)

            async def source():
                yield "images:1"
                yield "images:2"
                await asyncio.sleep(90.0)
                yield "images:2"

            outcomes = [each async for each in here.client.stream(source(), timeout=100.0)]
            kinds = [type(getattr(each, "cause", each)) for each in outcomes]
            assert [InvalidRequest, WaitTimeout, Success] == kinds

    virtually(main)
