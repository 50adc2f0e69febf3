"""Reads plain and async iterables in one way, and closes what it reads. It starts no task."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from .cooperation import is_cancelled

T = TypeVar("T")


async def iterate(source: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of either kind of iterable. An async generator is closed at the end."""
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


async def read_source(
    source: Iterable[T] | AsyncIterable[T],
    accept: Callable[[T], Awaitable[object]],
    *,
    contents: str = "items",
) -> Exception | None:
    """
    Pass each item of a caller's source to `accept`, until either of them raises.

    Args:
        source: The caller's iterable of either kind.
        accept: Awaited with each item.
        contents: What the items are, in the plural. Error messages use it.

    Returns:
        The exception, for the caller to raise after the results of earlier items; None at the end
        of the source. Only a cancellation of this task is raised.
    """
    try:
        async with aclosing(iterate(source)) as items:
            async for item in items:
                await accept(item)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        # The source awaited a task or future of its own that was cancelled.
        return RuntimeError(f"the source of {contents} was cancelled")
    except Exception as error:  # noqa: BLE001 -- a source may raise anything.
        return error
    return None
