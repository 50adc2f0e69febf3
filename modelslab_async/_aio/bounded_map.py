"""Deliveries: many orders of one caller, each brought to its outcome, a bounded number at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

from .cooperation import is_cancelled
from .iteration import iterate
from .wakeup import Wakeup

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class BoundedMap(Generic[ItemT, ResultT]):
    """
    Reads a source of orders as far as the window allows, and hands out each with its end.

    Args:
        function: Brings one order to its end; called in a task of its own.
        window: The most orders that are begun or not yet taken at once.
    """

    def __init__(self, function: Callable[[ItemT], Awaitable[ResultT]], window: int) -> None:
        self._function = function
        self._window = asyncio.Semaphore(window)
        self._results: deque[tuple[ItemT, ResultT]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup = Wakeup()
        self._reader_task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_source_read = False

    async def run(
        self,
        source: Iterable[ItemT] | AsyncIterable[ItemT],
        check: Callable[[ItemT], object],
    ) -> AsyncGenerator[tuple[ItemT, ResultT], None]:
        """Each order with its end, as they end. What the source raises comes after all of them."""
        reader_task = asyncio.create_task(
            self._read_source(source, check), name="modelslab_async orders"
        )
        self._reader_task = reader_task
        try:
            while True:
                while self._results:
                    yield self._results.popleft()
                    self._window.release()
                if self._is_source_read and not self._tasks:
                    break
                await self._wakeup.wait()
            if self._error is not None:
                raise self._error
        finally:
            reader_task.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait({reader_task, *self._tasks})

    async def _read_source(
        self,
        source: Iterable[ItemT] | AsyncIterable[ItemT],
        check: Callable[[ItemT], object],
    ) -> None:
        try:
            async with aclosing(iterate(source)) as items:
                async for item in items:
                    check(item)
                    await self._window.acquire()
                    task = asyncio.create_task(self._process(item), name="modelslab_async order")
                    self._tasks.add(task)
                    task.add_done_callback(self._on_task_done)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            self._error = RuntimeError("the source of orders was cancelled")
        except Exception as error:  # noqa: BLE001 -- whatever the source raises is the reader's.
            self._error = error
        finally:
            self._is_source_read = True
            self._wakeup.wake()

    async def _process(self, item: ItemT) -> None:
        try:
            result = await self._function(item)
        except asyncio.CancelledError as cancelled:
            if is_cancelled():
                raise
            # A task that ends so says nothing, and its order would be lost.
            raise RuntimeError("an order was cancelled from within") from cancelled
        self._results.append((item, result))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            if self._reader_task is not None:
                self._reader_task.cancel()
        self._wakeup.wake()
