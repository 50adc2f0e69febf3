"""Calls a callback that may be an `async def` or a plain function."""

from collections.abc import Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


async def call_and_await(callback: Callable[[T], object], argument: T) -> None:
    """Call a function. If its result is awaitable, await the result."""
    returned = callback(argument)
    # Check the result and not the function, because a plain function may also return a coroutine.
    if isawaitable(returned):
        await returned
