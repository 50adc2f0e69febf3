"""Calls a callback that may be an `async def` or a plain function. It catches nothing."""

from collections.abc import Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


async def call_and_await(callback: Callable[[T], object], argument: T) -> None:
    """Call a function, and await what it returns if that is awaitable."""
    returned = callback(argument)
    # Only a call shows this: a function that is no `async def` may return a coroutine.
    if isawaitable(returned):
        await returned
