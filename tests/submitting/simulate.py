"""
Many submits with a fault at every point, against a service that counts what it starts.

    python tests/submitting/simulate.py --runs 100000 --seed 0

Each run is one submit. Its first request meets a fault drawn from the seed, later requests may
meet more, and its caller may be cancelled at any moment. Some runs have a file, which meets faults
of its own. Some have an `on_submitted` that raises, in every possible way. Half of them share the
five slots of an account, and the service refuses a sixth job. A run that was rejected or cancelled
before it had sent anything is repeated, so each sends a request.

The service counts what it starts by track_id. Each run checks:

- No track_id is started twice.
- A run with a ticket was started once, and a run with "nothing was started" was not.
- Every uncertain result is a `SubmitUncertain` with its track_id.
- The caller gets what a hook raised.
- The link of the run's own file is submitted.
- `on_submitted` gets every ticket once, also that of a cancelled caller.

A run that goes wrong prints its number.
"""

import argparse
import asyncio
import base64
import json
import logging
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import Factory, define

# A script does not find modules in the folder above it by itself.
sys.path.append(str(Path(__file__).parents[1]))

from virtual_time import JumpingLoop

from modelslab_async import (
    Client,
    ModelsLabError,
    Pace,
    Processing,
    RateLimited,
    Request,
    Response,
    Submitted,
    SubmitUncertain,
    Success,
    TransportError,
)

GROUP = 200
SLOTS = 5
FULL = {"status": "error", "message": "Maximum 5 queued requests allowed.", "retry_after": 30}
SPAM = {"status": "error", "message": "Rate limit exceeded", "tips": "spam filter, wait 30 seconds"}

# Where a request may break: before it leaves, before it is read, after the work was started.
BEFORE = ("refused", "no name", "handshake")
ON_THE_WAY = ("cut while sending", "reset unread", "never read")
AFTER = ("reset after reading", "cut answer", "late answer", "500 after", "html after", "no id")
# What a transport of the caller may raise after it has sent.
FOREIGN = ("foreign error", "system's error", "cancelled within", "deep error")
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
POINTS = ("none", "done", *BEFORE, *ON_THE_WAY, *AFTER, *FOREIGN, *REFUSALS)
# What an upload may meet. Half of them meet nothing, so that their submits meet something.
TROUBLE = (*BEFORE, *ON_THE_WAY, "reset after reading", "500 after", "html after", *FOREIGN)
UPLOADS = (*TROUBLE, *(each for each in REFUSALS if each != "failed"))
RAISED = {
    "left": lambda: TransportError("the hook's own request broke", may_have_been_sent=True),
    "never left": lambda: TransportError("the hook's own request broke", may_have_been_sent=False),
    "rate": lambda: RateLimited("the hook asks too often", retry_after=1.0),
    "doubt": lambda: SubmitUncertain("another submit"),
    "disk": lambda: OSError("the disk is full"),
    "cancelled": lambda: asyncio.CancelledError("within the hook"),
    "odd": lambda: Odd("what no `except Exception` sees"),
}


class Odd(BaseException):
    """Neither an error of the library nor an `Exception`."""


def _response(status_code: int, body: Any) -> Response:
    return Response(status_code=status_code, body=json.dumps(body).encode())


def _file_of(mark: str) -> bytes:
    return f"the file of {mark}".encode()


def _link_of(mark: str) -> str:
    return f"https://x.example/{mark}"


@define(eq=False)
class Service:
    """Starts work for what it reads, and breaks where the dice say. It is the transport."""

    dice: random.Random
    limit: int | None = None
    starts: Counter[str] = Factory(Counter)
    seen: Counter[str] = Factory(Counter)
    points: Counter[str] = Factory(Counter)
    uploads: Counter[str] = Factory(Counter)
    told: set[str] = Factory(set)
    wrong: list[str] = Factory(list)
    ends: list[float] = Factory(list)
    full: int = 0

    async def exchange(self, request: Request, /) -> Response:
        fields = json.loads(request.body)
        match request.url.rpartition("/")[2]:
            case "text2img" | "img2img":
                return await self._submit(fields)
            case "base64_to_url":
                return await self._upload(fields)
            case id_:
                return self._poll(int(id_))

    async def _submit(self, fields: dict[str, Any]) -> Response:
        mark = str(fields["track_id"])
        if fields.get("init_image", _link_of(mark)) != _link_of(mark):
            self.wrong.append(f"run {mark}: submitted with {fields['init_image']}")
        first = not self.seen[mark]
        self.seen[mark] += 1
        point = self.dice.choice(POINTS) if first or self.dice.random() < 0.3 else "none"
        self.points[point] += 1
        await self._arrive(point)
        if point in REFUSALS:
            return _response(*REFUSALS[point])
        if self.limit is not None and self._queued() >= self.limit:
            self.full += 1
            return _response(429, FULL)
        self.starts[mark] += 1
        self.ends.append(self._now() + self.dice.random() * 0.1)
        id_ = len(self.ends)
        if point in ("none", "done"):
            self.told.add(mark)
        return await self._answer(point, {"status": "processing", "id": id_, "eta": 5})

    async def _upload(self, fields: dict[str, Any]) -> Response:
        file = base64.b64decode(fields["base64_string"].partition(",")[2]).decode()
        point = self.dice.choice(UPLOADS) if self.dice.random() < 0.5 else "none"
        self.uploads[point] += 1
        await self._arrive(point)
        if point in REFUSALS:
            return _response(*REFUSALS[point])
        link = _link_of(file.removeprefix("the file of "))
        return await self._answer(point, {"status": "success", "output": [link]})

    async def _arrive(self, point: str) -> None:
        await asyncio.sleep(self.dice.random() * 0.01)
        if point in BEFORE:
            raise TransportError(point, may_have_been_sent=False)
        if point in ON_THE_WAY:
            if point == "never read":
                await asyncio.sleep(1e6)
            raise TransportError(point)

    async def _answer(self, point: str, body: dict[str, Any]) -> Response:
        await asyncio.sleep(self.dice.random() * 0.01)
        match point:
            case "none":
                return _response(200, body)
            case "done":
                return _response(200, {**body, "status": "success", "output": ["https://x/1"]})
            case "late answer":
                await asyncio.sleep(1e6)
            case "500 after":
                return _response(500, {"message": "Server Error"})
            case "html after":
                return Response(status_code=200, body=b"<html>504</html>")
            case "no id":
                return _response(200, {"status": "processing", "eta": 5, "output": []})
            case "foreign error":
                raise RuntimeError(point)
            case "system's error":
                raise OSError(point)
            case "cancelled within":
                raise asyncio.CancelledError(point)
            case "deep error":
                raise ExceptionGroup(point, [TransportError(point, may_have_been_sent=False)])
        raise TransportError(point)

    def _poll(self, id_: int) -> Response:
        if self.ends[id_ - 1] > self._now():
            return _response(200, {"status": "processing", "id": id_, "output": []})
        return _response(200, {"status": "success", "id": id_, "output": ["https://x/1"]})

    def _queued(self) -> int:
        # No more than a group can be in flight.
        return sum(end > self._now() for end in self.ends[-2 * GROUP :])

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


@define(eq=False)
class Tally:
    """The results of the runs, and which of them went wrong."""

    ends: Counter[str] = Factory(Counter)
    wrong: list[str] = Factory(list)

    def judge(
        self,
        number: int,
        mark: str,
        starts: int,
        end: object,
        raised: BaseException | None = None,
    ) -> None:
        """Judge the result of one run, whose hook may have raised something."""
        self.ends[type(end).__name__] += 1
        twice = "sent twice" if starts > 1 else None
        fault = twice or _fault(mark, starts, end, raised)
        if fault is not None:
            self.wrong.append(f"run {number}: {fault}, the service started {starts}, got {end!r}")


def _fault(mark: str, starts: int, end: object, raised: BaseException | None) -> str | None:
    if raised is not None and not isinstance(end, asyncio.CancelledError):
        return None if raised is end else "not what the hook raised"
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


@define(eq=False)
class Runs:
    """Many runs against one service."""

    dice: random.Random
    service: Service
    tally: Tally = Factory(Tally)
    heard: Counter[str] = Factory(Counter)
    hooks: Counter[str] = Factory(Counter)
    raised: dict[str, BaseException] = Factory(dict)

    async def store(self, news: Submitted) -> None:
        self.heard[news.track_id] += 1
        if self.dice.random() < 0.3:
            kind = self.dice.choice([*RAISED])
            self.hooks[kind] += 1
            await asyncio.sleep(self.dice.random() * 0.01)
            self.raised[news.track_id] = RAISED[kind]()
            raise self.raised[news.track_id]

    async def play(self, numbers: range, *, slots: int | None) -> None:
        """Play some, all at once, on a client of their own."""
        self.service.limit = slots
        client = Client(
            "a-simulated-key",
            http=self.service,
            queue=slots,
            submit_timeout=5.0,
            pace=Pace(floor=0.01, max_failures=6),
            on_submitted=self.store,
        )
        async with client:
            await asyncio.gather(*(self.run(client, number) for number in numbers))

    async def run(self, client: Client, number: int) -> None:
        mark, with_file = str(number), self.dice.random() < 0.3
        while not self.service.seen[mark]:
            end = await self.once(client, mark, with_file=with_file)
            starts = self.service.starts[mark]
            self.tally.judge(number, mark, starts, end, self.raised.get(mark))
            # The submit of a cancelled caller is sent by now, if it is sent at all.
            await asyncio.sleep(0.001)

    async def once(self, client: Client, mark: str, *, with_file: bool) -> object:
        params: dict[str, Any] = {"prompt": f"number {mark}", "track_id": mark}
        if with_file:
            params["init_image"] = _file_of(mark)
        name = "realtime/img2img" if with_file else "realtime/text2img"
        task = asyncio.create_task(client.submit(name, **params))
        if gone := self.dice.random() < 0.2:
            await asyncio.sleep(self.dice.random() * 0.03)
            task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            return task.exception() or task.result()
        # A cancellation that the caller did not cause comes from the hook, or is a defect.
        return asyncio.CancelledError() if gone else self.raised.get(mark)


async def play(runs: int, seed: int) -> Runs:
    """Play so many runs, some at once: with slots for all of them, then with a few."""
    dice = random.Random(seed)
    played = Runs(dice, Service(dice))
    service, tally = played.service, played.tally
    for start in range(0, runs, GROUP):
        numbers = range(start, min(start + GROUP, runs))
        await played.play(numbers, slots=SLOTS if start // GROUP % 2 else None)
    tally.wrong.extend(service.wrong)
    for mark, count in service.starts.items():
        if count > 1:
            tally.wrong.append(f"run {mark}: started {count} times in the end")
    for mark in map(str, range(runs)):
        if played.heard[mark] != (mark in service.told):
            tally.wrong.append(f"run {mark}: on_submitted heard of it {played.heard[mark]} times")
        if not service.seen[mark]:
            tally.wrong.append(f"run {mark}: sent nothing")
    return played


def main() -> None:
    parser = argparse.ArgumentParser(description="Play submits with a fault at every point.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    # The client's pauses use the same generator.
    random.seed(options.seed)
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        played = runner.run(play(options.runs, options.seed))
    service, tally = played.service, played.tally
    sent = f"{service.seen.total()} requests and {service.uploads.total()} files"
    lines = [
        *tally.wrong[:20],
        f"{options.runs} submits, {sent}, {service.starts.total()} starts, {service.full} full",
        f"ends: {dict(tally.ends.most_common())}",
        f"points: {dict(sorted(service.points.items()))}",
        f"points of files: {dict(sorted(service.uploads.items()))}",
        f"hooks: {dict(sorted(played.hooks.items()))}",
        f"{len(tally.wrong)} wrong",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
