"""Cancelling at every step: a caller who leaves, wherever that is, leaves nothing behind."""

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Coroutine, Generator
from itertools import product
from typing import Any

import pytest
from everyday import pairs

from modelslab_async import Client, ClientClosed, Outcome, Pace, Success
from modelslab_async.emulator import Emulator, Jobs, run_server

QUICK = Pace(floor=0.002, age_fraction=0.0, ceiling=0.002)
TICKETS = ["realtime:1", "images:2", "video:3"]


class Stepping:
    """Runs a coroutine step by step, and counts the steps of all that run like this."""

    def __init__(self) -> None:
        self.steps = 0
        self.at: Callable[[int], None] = lambda _: None

    def factory(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(self.counted(work), loop=loop, **more)
        # A task that is cancelled before its first step ends its coroutine, and so does this one.
        task.add_done_callback(lambda _: work.close())
        return task

    async def counted(self, work: Any) -> Any:
        return await _Steps(work, self)


class _Steps:
    def __init__(self, work: Any, stepping: Stepping) -> None:
        self.work = work
        self.stepping = stepping

    def __await__(self) -> Generator[Any, Any, Any]:
        step, value = self.work.send, None
        while True:
            self.stepping.steps += 1
            self.stepping.at(self.stepping.steps)
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            try:
                value = yield waits_for
                step = self.work.send
            except BaseException as error:  # noqa: BLE001 -- passed on, as a task does it.
                step, value = self.work.throw, error


def ended_well(outcome: Outcome) -> bool:
    """Return whether it is a result, or the error that the client was closed."""
    return isinstance(outcome, Success) or isinstance(getattr(outcome, "cause", None), ClientClosed)


async def wait(client: Client) -> None:
    assert isinstance(await client.wait("realtime:1"), Success)


async def fetch(client: Client) -> None:
    await client.fetch("realtime:1")


async def gather(client: Client) -> None:
    outcomes = await client.gather(TICKETS)
    assert TICKETS == [str(each.ticket) for each in outcomes]
    assert all(map(ended_well, outcomes))


async def stream(client: Client) -> None:
    count = 0
    async for outcome in client.stream(TICKETS, window=2):
        assert ended_well(outcome)
        count += 1
    assert 3 == count


async def stream_left(client: Client) -> None:
    async for _ in client.stream(TICKETS, window=2):
        break


async def watch(client: Client) -> None:
    async for _ in client.watch("realtime:1"):
        pass


WAYS = {each.__name__: each for each in (wait, fetch, gather, stream, stream_left, watch)}
LOOPS = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32" and sys.implementation.name == "cpython":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch):
    """Collect Python's warnings of unawaited coroutines, unseen exceptions and open sockets."""
    messages: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda hook: messages.append(repr(hook.exc_value)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
        gc.collect()
    messages += [str(each.message) for each in caught]
    assert [] == messages


async def over_all_steps(
    way: Callable[[Client], Coroutine[Any, Any, None]], *, closing: bool
) -> int:
    """Cancel, or close the client, at the first step, the second, and so on to the last."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(str(context)))
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.004)))
    async with run_server(emulator) as url:
        nth = 0
        while True:
            nth += 1
            for ticket in TICKETS:
                emulator.add_job(ticket)
            before = asyncio.all_tasks()
            reached = await run_to_step(way, url, nth, closing=closing)
            for _ in range(10_000):
                left = {
                    task
                    for task in asyncio.all_tasks() - before
                    # The server ends its own side of a connection a moment later.
                    if "uvicorn" not in str(task.get_coro()) and "RequestResponse" not in str(task)
                }
                if not left:
                    break
                await asyncio.sleep(0.001)
            assert set() == left, f"left behind by step {nth}"
            assert [] == complaints, f"said at step {nth}"
            if not reached:
                return nth


async def run_to_step(way: Any, url: str, nth: int, *, closing: bool) -> bool:
    """Run one call to its end or to its n-th step; return whether it reached that step."""
    loop = asyncio.get_running_loop()
    stepping, reached = Stepping(), False
    client = Client("k", base_url=url, pace=QUICK, workers=2, timeout=600.0)
    loop.set_task_factory(stepping.factory)
    closed: list[asyncio.Task[None]] = []
    try:
        going = asyncio.create_task(way(client))

        def strike(step: int) -> None:
            nonlocal reached
            if step == nth and not going.done():
                reached = True
                if closing:
                    closed.append(asyncio.create_task(client.aclose()))
                else:
                    going.cancel()

        stepping.at = strike
        done, _ = await asyncio.wait([going], timeout=300.0)
        assert done, f"it hangs since step {nth}"
        if not reached:
            going.result()
        try:
            async with asyncio.timeout(300):
                await client.aclose()
                for task in closed:
                    await task
        except TimeoutError:
            pytest.fail(f"closing hangs after step {nth}")
        error = None if going.cancelled() else going.exception()
        assert error is None or (closing and isinstance(error, ClientClosed))
    finally:
        loop.set_task_factory(None)
    return reached


@pytest.mark.parametrize(
    ("way", "leaving"), pairs([*WAYS], [*product(LOOPS, ("cancelled", "closed"))])
)
def test_left_at_any_step_leaves_nothing(complaints, way, leaving):
    """Cancelled, or its client closed, at any step: no task, no socket, no warning is left."""
    loop, how = leaving
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        steps = runner.run(over_all_steps(WAYS[way], closing=how == "closed"))
    # There were steps to cancel at. A fetch with an immediate reply has the fewest.
    assert steps > 5
    assert [] == complaints
