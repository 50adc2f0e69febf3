"""One host: it generates pictures and waits for tickets that need many polls, for one account."""

import asyncio
import json
import logging
import random
import sys
import time
from collections import Counter
from typing import Any

from modelslab_async import Client, ModelsLabError, Pace, PostgresAccount
from modelslab_async._journal import process_identity

KEY = "a-test-key-1234"
# Seconds between two steps of a clock that is set again and again.
STEP_INTERVAL_S = 0.5


def shift_clocks(dice: random.Random, seconds: float) -> None:
    """Show this process other times than the machine's, and set its wall clock now and then."""
    wall, monotonic = time.time, time.monotonic
    step_s, stepped_at = 0.0, monotonic()

    def stepping_time() -> float:
        nonlocal step_s, stepped_at
        if monotonic() > stepped_at + STEP_INTERVAL_S:
            step_s, stepped_at = dice.uniform(-seconds, seconds), monotonic()
        return wall() + seconds + step_s

    time.time = stepping_time
    time.monotonic = lambda: monotonic() + abs(seconds)


async def main(settings: dict[str, Any]) -> None:
    """Work until the input of this process is closed. Then write what became of the submits."""
    name = settings["name"]
    # So the others cannot see whether this process lives, as if it ran on another machine.
    process_identity._machine_id = lambda: f"host-{name}"
    if settings["clock_shift_s"]:
        shift_clocks(random.Random(name), settings["clock_shift_s"])
    account = PostgresAccount(settings["account"], rate=settings["rate"], queue=settings["queue"])
    is_over, ends = asyncio.Event(), Counter[str]()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), is_over.set)
    pace = Pace(floor=0.05, ceiling=0.1)
    async with Client(KEY, base_url=settings["url"], account=account, pace=pace) as client:

        async def generate(task: int) -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                try:
                    prompt = f"{name}, {task}, {number}"
                    await client.generate("realtime/text2img", prompt=prompt)
                    ends["done"] += 1
                except ModelsLabError as error:
                    ends[type(error).__name__] += 1

        waiting = asyncio.create_task(client.gather(settings["tickets"]))
        sys.stdout.write("started\n")
        sys.stdout.flush()
        generating = asyncio.gather(*(generate(task) for task in range(settings["tasks"])))
        await is_over.wait()
        for task in (waiting, generating):
            task.cancel()
        await asyncio.gather(waiting, generating, return_exceptions=True)
    sys.stdout.write(json.dumps(ends))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main(json.loads(sys.argv[1])))
