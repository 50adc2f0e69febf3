"""A program that submits a hundred pictures, each with a track_id. A test runs and kills it."""

import asyncio
import sys
from contextlib import suppress

from modelslab_async import Batch, Client, SubmitUncertain


async def main(path: str, url: str) -> None:
    async with (
        Client("a-key-for-tests", base_url=url, queue=None) as client,
        Batch.open(path, client=client) as batch,
    ):
        at_once = asyncio.Semaphore(4)

        async def submit(number: int) -> None:
            async with at_once:
                with suppress(SubmitUncertain):
                    await batch.submit("realtime/text2img", prompt=f"no. {number}", track_id=number)

        await asyncio.gather(*map(submit, range(100)))


asyncio.run(main(*sys.argv[1:3]))
