"""
How soon a webhook that one client of an account gets ends the wait of another client.

    python tests/benchmarks/webhook_hints.py --webhooks 300
    python tests/benchmarks/webhook_hints.py --webhooks 300 --store sqlite

The account is in PostgreSQL, on a server that the script starts, or in an SQLite file. Both clients
and the service share one process. The time runs from the post to the receiver of one client until
`wait` of the other returns, so it includes the poll that fetches the result.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# With -P, Python does not search the folder of the script.
sys.path.append(str(Path(__file__).parents[1]))

from postgres_server import PostgresServer

from modelslab_async import Client, Pace, PostgresAccount, SQLiteAccount, webhooks
from modelslab_async.emulator import Emulator, ScriptedReply, run_server

KEY = "a-test-key-1234"
SECRET = "of the settings"
# Without a webhook, the next poll would be due only after this many seconds.
LONG_S = 100_000.0
RUNNING = b'{"status": "processing", "eta": %d}' % LONG_S
PACE = Pace(floor=0.01, ceiling=LONG_S, max_eta_wait=LONG_S)

Account = PostgresAccount | SQLiteAccount


@contextmanager
def opened_account(store: str) -> Iterator[Account]:
    """Make an account in a new database or a new file."""
    if store == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield SQLiteAccount(Path(folder) / "account.db", rate=100, queue=5)
    else:
        with PostgresServer.running() as server:
            yield PostgresAccount(server.address, rate=100, queue=5)


async def measured(account: Account, count: int) -> list[float]:
    """Send webhooks at random moments, one after the other. Return the milliseconds of each."""
    emulator, found, rng = Emulator(), list[float](), random.Random(1)
    loop = asyncio.get_running_loop()
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account, pace=PACE) as waiter,
        Client(KEY, base_url=url, account=account, pace=PACE) as receiver,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=webhooks.receiver(receiver, secret=SECRET))
        ) as service,
    ):
        address = receiver.webhook_url("http://me.example/hooks", secret=SECRET)
        for number in range(1, count + 1):
            ticket = emulator.add_job(("images", number), duration=0.0)
            emulator.script(ticket, [ScriptedReply(200, RUNNING), None])
            waiting = asyncio.create_task(waiter.wait(ticket))
            while not emulator.polls[ticket]:  # noqa: ASYNC110 -- a poll has no event here.
                await asyncio.sleep(0.01)
            await asyncio.sleep(rng.uniform(0.1, 0.4))
            began = loop.time()
            await service.post(address, json={"status": "success", "id": number})
            await waiting
            found.append((loop.time() - began) * 1000.0)
    return found


def main() -> None:
    """Measure one store, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", type=int, default=300)
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--save", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    with opened_account(options.store) as account:
        found = asyncio.run(measured(account, options.webhooks))
    percentiles = statistics.quantiles(found, n=100, method="inclusive")
    print(
        f"{len(found)} webhooks over {options.store}: median {percentiles[49]:.1f} ms, "
        f"p99 {percentiles[98]:.1f} ms, longest {max(found):.1f} ms"
    )
    if options.save:
        options.save.write_text(json.dumps({"ms": found}))


if __name__ == "__main__":
    main()
