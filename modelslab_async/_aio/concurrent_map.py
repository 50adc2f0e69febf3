"""ConcurrentMap: calls an async function for each item of a source, with bounded concurrency."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from .iteration import read_source
from .yield_and_wakeup import Wakeup, is_cancelled

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class ConcurrentMap(Generic[ItemT, ResultT]):
    """
    Calls a function for each item of a source. Yields the results in the order in which calls end.

    The source is read lazily. Call `run` only once.

    Args:
        function: Awaited for each item, in a task of its own. If it raises, no more items are read.
            `run` yields the results of all items in progress, and then raises the exception.
        window: The maximum number of items that are in progress, or done but not yet received by
            the caller.
        on_unreceived: Called with each result that is ready when the caller closes the generator.
    """

    def __init__(
        self,
        function: Callable[[ItemT], Awaitable[ResultT]],
        window: int,
        *,
        on_unreceived: Callable[[ResultT], object] = lambda _: None,
    ) -> None:
        self._function = function
        self._on_unreceived = on_unreceived
        self._window = asyncio.Semaphore(window)
        self._results: deque[tuple[ItemT, ResultT]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup = Wakeup()
        self._reader_task: asyncio.Task[None] | None = None
        self._source_error: BaseException | None = None
        self._function_error: BaseException | None = None
        self._is_source_read = False

    async def run(
        self,
        source: Iterable[ItemT] | AsyncIterable[ItemT],
        check: Callable[[ItemT], object] = lambda _: None,
    ) -> AsyncGenerator[tuple[ItemT, ResultT], None]:
        """
        Yield each item with its result. Closing the generator cancels the items in progress.

        Args:
            source: The items. If the source raises, `run` first yields the results of all earlier
                items, and then raises the exception.
            check: Called with each item as soon as it is read, before the item waits for room in
                the window. An exception of `check` counts as an exception of the source.
        """
        reader_task = asyncio.create_task(
            self._read_source(source, check), name="modelslab_async map source"
        )
        self._reader_task = reader_task
        try:
            while True:
                while self._results:
                    result = self._results.popleft()
                    self._window.release()
                    yield result
                if self._is_source_read and not self._tasks:
                    break
                await self._wakeup.wait()
            if (error := self._function_error or self._source_error) is not None:
                raise error
        finally:
            reader_task.cancel()
            for task in self._tasks:
                task.cancel()
            for _, unreceived in self._results:
                self._on_unreceived(unreceived)
            await asyncio.wait({reader_task, *self._tasks})

    def stop_reading(self) -> None:
        """Stop reading the source. `run` still yields the results of the items in progress."""
        self._is_source_read = True
        if self._reader_task is not None:
            self._reader_task.cancel()
        self._wakeup.wake()

    async def _read_source(
        self,
        source: Iterable[ItemT] | AsyncIterable[ItemT],
        check: Callable[[ItemT], object],
    ) -> None:
        async def start(item: ItemT) -> None:
            check(item)
            await self._window.acquire()
            task = asyncio.create_task(self._process(item), name="modelslab_async map item")
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)

        try:
            self._source_error = await read_source(source, start)
        finally:
            self._is_source_read = True
            self._wakeup.wake()

    async def _process(self, item: ItemT) -> None:
        try:
            result = await self._function(item)
        except asyncio.CancelledError as cancelled:
            if is_cancelled():
                raise
            # This task was not cancelled, but the function raised a CancelledError. Raise another
            # error, because a task that ends with a CancelledError has no exception to report.
            raise RuntimeError(
                "a task of the concurrent map was cancelled from within"
            ) from cancelled
        self._results.append((item, result))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._function_error = self._function_error or error
            if self._reader_task is not None:
                self._reader_task.cancel()
        self._wakeup.wake()
