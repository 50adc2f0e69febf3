"""The memory that a long source costs: that of the window, whatever its length."""

import asyncio
import gc
import tracemalloc

import pytest

from modelslab_async import Client, Response, Success

pytestmark = pytest.mark.thorough

WINDOW = 200
BODY = b'{"status": "success", "output": ["https://x.example/1.png"]}'


class Server:
    """Answers that every job is done."""

    async def exchange(self, _request):
        await asyncio.sleep(0.1)
        return Response(status_code=200, body=BODY)


def most_memory(virtually, count):
    """The peak of allocated bytes during a stream of so many tickets."""

    async def main():
        source = (("realtime", number) for number in range(10_000, 10_000 + count))
        async with Client("a-key-1234", http=Server()) as client:
            gc.collect()
            tracemalloc.start()
            try:
                async for outcome in client.stream(source, window=WINDOW):
                    assert isinstance(outcome, Success)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    return virtually(main)


def test_memory_of_stream_depends_on_window_alone(virtually):
    """Ten times as many tickets from a generator take no more memory."""
    few, many = most_memory(virtually, 5 * WINDOW), most_memory(virtually, 50 * WINDOW)
    assert few == pytest.approx(many, rel=0.25)
    # At most 10 KB for each ticket of the window, and nothing for the others.
    assert many < WINDOW * 10_000
