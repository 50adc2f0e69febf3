"""A worker of a batch in a database: it prints the ticket of each outcome that it is handed."""

import asyncio
import logging
import sys

from modelslab_async import Batch, Client, Pace
from modelslab_async._journal import postgres_session


async def main(address: str, url: str, lease: float) -> None:
    # The warnings about a database that is away are expected.
    logging.getLogger("modelslab_async").addHandler(logging.NullHandler())
    # A stopped worker keeps its locks for no longer than its lease.
    postgres_session._MAX_IDLE_IN_TRANSACTION = f"{min(lease, 15):g}s"
    pace = Pace(floor=0.05, ceiling=0.1, max_failures=1000)
    async with (
        Client("a-key-for-tests", base_url=url, pace=pace) as client,
        Batch.open(address, client=client, lease=lease) as batch,
    ):
        async for outcome in batch.run(window=20):
            sys.stdout.write(f"{outcome.ticket}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
