"""
One round of one client, as JSON. `record.py` runs it, each round in a process of its own.

    python tests/benchmarks/one_round.py stream http://127.0.0.1:8000 --tickets 5000
"""

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

from own_clients import OWN_CLIENTS
from rivals import RIVALS

CLIENTS = {**RIVALS, **OWN_CLIENTS}


async def measured(options: argparse.Namespace) -> dict[str, float]:
    """One round: open the connections, then time the tickets."""
    async with CLIENTS[options.client](options.url, options.connections) as run:
        await run(2 * options.connections)
        began, used = time.perf_counter(), time.process_time()
        await run(options.tickets)
        took, spent = time.perf_counter() - began, time.process_time() - used
    return {
        "rate": round(options.tickets / took, 1),
        "cpu": round(spent / options.tickets * 1e6, 2),
    }


def main() -> None:
    """Measure one round, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--tickets", type=int, default=5000)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--layers", action="store_true", help="say where the time goes too")
    options = parser.parse_args()
    runner: Callable[..., Any] = asyncio.run
    if options.uvloop:
        import uvloop

        runner = uvloop.run
    if options.layers:
        from layers import sampled

        print(json.dumps(sampled(lambda: runner(measured(options)))))
        return
    found = runner(measured(options))
    print(json.dumps({"python": platform.python_version(), **found}), flush=True)
    # The threads of pyreqwest now and then abort Python while it shuts down, so skip that.
    os._exit(0)


if __name__ == "__main__":
    main()
