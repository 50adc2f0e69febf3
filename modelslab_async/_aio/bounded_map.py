"""Deliveries: many orders of one caller, each brought to its outcome, a bounded number at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

from .bell import Bell
from .cooperation import is_cancelled
from .iteration import each

OrderT = TypeVar("OrderT")
EndT = TypeVar("EndT")


class Deliveries(Generic[OrderT, EndT]):
    """
    Reads a source of orders as far as the window allows, and hands out each with its end.

    Args:
        bring: Brings one order to its end; called in a task of its own.
        window: The most orders that are begun or not yet taken at once.
    """

    def __init__(self, bring: Callable[[OrderT], Awaitable[EndT]], window: int) -> None:
        self._bring = bring
        self._window = asyncio.Semaphore(window)
        self._ready: deque[tuple[OrderT, EndT]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = Bell()
        self._feeder: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._sealed = False

    async def of(
        self,
        source: Iterable[OrderT] | AsyncIterable[OrderT],
        check: Callable[[OrderT], object],
    ) -> AsyncGenerator[tuple[OrderT, EndT], None]:
        """Each order with its end, as they end. What the source raises comes after all of them."""
        feeder = asyncio.create_task(self._feed(source, check), name="modelslab_async orders")
        self._feeder = feeder
        try:
            while True:
                while self._ready:
                    yield self._ready.popleft()
                    self._window.release()
                if self._sealed and not self._tasks:
                    break
                await self._bell.wait()
            if self._error is not None:
                raise self._error
        finally:
            feeder.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait({feeder, *self._tasks})

    async def _feed(
        self,
        source: Iterable[OrderT] | AsyncIterable[OrderT],
        check: Callable[[OrderT], object],
    ) -> None:
        try:
            async with aclosing(each(source)) as orders:
                async for order in orders:
                    check(order)
                    await self._window.acquire()
                    task = asyncio.create_task(self._deliver(order), name="modelslab_async order")
                    self._tasks.add(task)
                    task.add_done_callback(self._done)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            self._error = RuntimeError("the source of orders was cancelled")
        except Exception as error:  # noqa: BLE001 -- whatever the source raises is the reader's.
            self._error = error
        finally:
            self._sealed = True
            self._bell.ring()

    async def _deliver(self, order: OrderT) -> None:
        try:
            end = await self._bring(order)
        except asyncio.CancelledError as cancelled:
            if is_cancelled():
                raise
            # A task that ends so says nothing, and its order would be lost.
            raise RuntimeError("an order was cancelled from within") from cancelled
        self._ready.append((order, end))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            if self._feeder is not None:
                self._feeder.cancel()
        self._bell.ring()
