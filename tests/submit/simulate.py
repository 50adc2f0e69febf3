"""
Many submits with a fault at every point, against a service that counts what it starts.

    python tests/submit/simulate.py --runs 100000 --seed 0

Each run is one submit whose first request meets a fault drawn from the seed, whose later ones may
meet more, and whose caller may go away at any moment. The service counts what it starts by its
mark. Each run checks that no mark is started twice, that whoever got a ticket was started once,
that whoever was told "nothing was started" was not, that every doubtful end is a `SubmitUncertain`
with its mark, and that `on_submitted` hears once of every ticket, also of those whose caller has
gone. A run that goes wrong prints its number.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import Factory, define

# What lies in the folder above a script is not found by itself.
sys.path.append(str(Path(__file__).parents[1]))

from jumping import JumpingLoop

from modelslab_async import (
    Client,
    ModelsLabError,
    Pace,
    Processing,
    Request,
    Response,
    Submitted,
    SubmitUncertain,
    Success,
    TransportError,
)

ENDPOINT = "realtime/text2img"
FULL = {"status": "error", "message": "Maximum 5 queued requests allowed.", "retry_after": 30}
SPAM = {"status": "error", "message": "Rate limit exceeded", "tips": "spam filter, wait 30 seconds"}

# Where a request may break: before it leaves, before it is read, after the work was started.
BEFORE = ("refused", "no name", "handshake")
ON_THE_WAY = ("cut while sending", "reset unread", "never read")
AFTER = ("reset after reading", "cut answer", "late answer", "500 after", "html after", "no id")
REFUSALS = {
    "401": (401, {"status": "error", "message": "Invalid API key"}),
    "402": (402, {"status": "error", "message": "Insufficient credits."}),
    "400": (400, {"status": "error", "message": "prompt is required"}),
    "429": (429, FULL),
    "429 in a 200": (200, FULL),
    "spam": (200, SPAM),
    "500 before": (500, {"status": "error", "message": "Internal server error."}),
    "503 before": (503, {"status": "error", "message": "Service temporarily unavailable."}),
    "failed": (200, {"status": "failed", "id": "", "message": "Failed, Try Again"}),
}
POINTS = ("none", "done", *BEFORE, *ON_THE_WAY, *AFTER, *REFUSALS)


def _response(status_code: int, body: Any) -> Response:
    return Response(status_code=status_code, body=json.dumps(body).encode())


@define(eq=False)
class Service:
    """Starts work for what it reads, and breaks where the dice say. It is the client's seam."""

    dice: random.Random
    starts: Counter[str] = Factory(Counter)
    seen: Counter[str] = Factory(Counter)
    points: Counter[str] = Factory(Counter)
    told: set[str] = Factory(set)

    async def exchange(self, request: Request, /) -> Response:
        mark = str(json.loads(request.body)["track_id"])
        first = not self.seen[mark]
        self.seen[mark] += 1
        point = self.dice.choice(POINTS) if first or self.dice.random() < 0.3 else "none"
        self.points[point] += 1
        await asyncio.sleep(self.dice.random() * 0.01)
        if point in BEFORE:
            raise TransportError(point, may_have_left=False)
        if point in ON_THE_WAY:
            if point == "never read":
                await asyncio.sleep(1e6)
            raise TransportError(point)
        if point in REFUSALS:
            return _response(*REFUSALS[point])
        self.starts[mark] += 1
        if point in ("none", "done"):
            self.told.add(mark)
        await asyncio.sleep(self.dice.random() * 0.01)
        return await self._answer(point)

    async def _answer(self, point: str) -> Response:
        id_ = self.starts.total()
        running = {"status": "processing", "id": id_, "eta": 5, "output": []}
        match point:
            case "none":
                return _response(200, running)
            case "done":
                return _response(200, {**running, "status": "success", "output": ["https://x/1"]})
            case "late answer":
                await asyncio.sleep(1e6)
            case "500 after":
                return _response(500, {"message": "Server Error"})
            case "html after":
                return Response(status_code=200, body=b"<html>504</html>")
            case "no id":
                return _response(200, {"status": "processing", "eta": 5, "output": []})
        raise TransportError(point)


@define(eq=False)
class Tally:
    """What became of the runs, and which went wrong."""

    ends: Counter[str] = Factory(Counter)
    wrong: list[str] = Factory(list)

    def judge(self, number: int, mark: str, starts: int, end: object) -> None:
        self.ends[type(end).__name__] += 1
        fault = _fault(mark, starts, end)
        if fault is not None:
            self.wrong.append(f"run {number}: {fault}, the service started {starts}, got {end!r}")


def _fault(mark: str, starts: int, end: object) -> str | None:
    if starts > 1:
        return "sent twice"
    match end:
        case Processing() | Success():
            return None if starts else "a ticket of nothing"
        case SubmitUncertain():
            return None if end.track_id == mark else "the wrong mark"
        case asyncio.CancelledError():
            return None
        case ModelsLabError():
            return "started, and called refused" if starts else None
    return "no end that was promised"


async def play(runs: int, seed: int) -> tuple[Tally, Service]:
    """Play so many runs, some at once, on one client."""
    dice, tally = random.Random(seed), Tally()
    service = Service(dice)
    heard: Counter[str] = Counter()

    async def store(news: Submitted) -> None:
        heard[news.track_id] += 1

    async def run(number: int) -> None:
        mark = str(number)
        submit = client.submit(ENDPOINT, prompt=f"number {number}", track_id=mark)
        task = asyncio.create_task(submit)
        if dice.random() < 0.2:
            await asyncio.sleep(dice.random() * 0.03)
            task.cancel()
        await asyncio.wait((task,))
        end = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
        tally.judge(number, mark, service.starts[mark], end)

    pace = Pace(floor=0.01, faults=6)
    client = Client(
        "a-simulated-key",
        http=service,
        queue=None,
        submit_timeout=5.0,
        pace=pace,
        on_submitted=store,
    )
    async with client:
        for start in range(0, runs, 200):
            await asyncio.gather(*map(run, range(start, min(start + 200, runs))))
    for mark, count in service.starts.items():
        if count > 1:
            tally.wrong.append(f"run {mark}: started {count} times in the end")
        if heard[mark] != (mark in service.told):
            tally.wrong.append(f"run {mark}: on_submitted heard of it {heard[mark]} times")
    return tally, service


def main() -> None:
    parser = argparse.ArgumentParser(description="Play submits with a fault at every point.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    # The pauses of the client are drawn from it as well.
    random.seed(options.seed)
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        tally, service = runner.run(play(options.runs, options.seed))
    lines = [
        *tally.wrong[:20],
        f"{options.runs} submits, {service.seen.total()} requests, {service.starts.total()} starts",
        f"ends: {dict(tally.ends.most_common())}",
        f"points: {dict(sorted(service.points.items()))}",
        f"{len(tally.wrong)} wrong",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
