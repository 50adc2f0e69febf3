"""Reads plain and async iterables through one interface, and closes async generators."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from .yield_and_wakeup import Yielder, is_cancelled

T = TypeVar("T")
U = TypeVar("U")


async def iterate(source: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """
    Yield the items of a plain or async iterable.

    If it is an async generator, close it at the end.
    """
    if isinstance(source, AsyncGenerator):
        async with aclosing(source):
            async for item in source:
                yield item
    elif isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item


async def pass_in_chunks(
    source: Iterable[T] | AsyncIterable[T],
    accept: Callable[[list[U]], Awaitable[int]],
    *,
    size: int,
    convert: Callable[[T], U],
) -> int:
    """
    Convert items, and pass them to `accept` in lists. Let other tasks run between items.

    Args:
        source: The items, in a plain or async iterable.
        accept: Awaited with each list.
        size: The maximum number of items in a list.
        convert: Called with each item.

    Returns:
        The sum of the numbers that `accept` returned.
    """
    yielder = Yielder()
    total = 0
    chunk: list[U] = []
    async with aclosing(iterate(source)) as items:
        async for item in items:
            chunk.append(convert(item))
            if len(chunk) == size:
                total += await accept(chunk)
                chunk = []
            await yielder.maybe_yield()
    return total + await accept(chunk) if chunk else total


async def read_source(
    source: Iterable[T] | AsyncIterable[T],
    accept: Callable[[T], Awaitable[object] | None],
    *,
    contents: str = "items",
) -> BaseException | None:
    """
    Pass each item of a source to `accept`. Stop if the source or `accept` raises.

    Args:
        source: The items, in a plain or async iterable.
        accept: Called with each item. If it returns an awaitable, that is awaited before the next
            item is read.
        contents: A plural noun for the items in error messages, such as "tickets".

    Returns:
        The exception that stopped the reading; None if the source was read to its end. The caller
        can raise it after it has handled the results of earlier items.

    Raises:
        BaseException: Only KeyboardInterrupt, SystemExit and a cancellation of this task.
    """
    try:
        if isinstance(source, AsyncIterable):
            async with aclosing(iterate(source)) as items:
                async for item in items:
                    if (accepting := accept(item)) is not None:
                        await accepting
        else:
            for item in source:
                if (accepting := accept(item)) is not None:
                    await accepting
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        # This task was not cancelled. A task or future that the source awaited was cancelled.
        return RuntimeError(f"the source of {contents} was cancelled")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 -- a source may raise anything.
        return error
    return None
