"""Lifecycle: binds an object to one event loop of one process and closes it once."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from .._models.errors import ClientClosed


class Lifecycle:
    """
    The open and closed states of a client.

    The client may be opened and closed in different tasks, and all tasks of one loop may share it.
    It closes once, however many tasks call `aclose` and even if they are cancelled.

    Args:
        close: Releases the client's resources. It runs once, in a task of its own.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._is_closed = False
        self._close_task: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` has been called."""
        return self._is_closed

    async def aclose(self) -> None:
        """Close, or wait until the task that closes is done."""
        self._check_loop()
        self._is_closed = True
        if self._close_task is None:
            self._close_task = asyncio.create_task(self._run_close(), name="modelslab_async close")
        # A cancelled caller leaves the closing task running, and a later caller waits for it.
        await asyncio.shield(self._close_task)

    def check_usable(self) -> None:
        """
        Make sure that the client is open and used from its own loop.

        Raises:
            ClientClosed: The client was closed.
            RuntimeError: Another event loop or process uses it.
        """
        self._check_loop()
        if self._is_closed:
            raise ClientClosed("this client is closed; make a new one")

    async def _run_close(self) -> None:
        await self._close()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop or self._process != os.getpid():
            raise RuntimeError(
                "this client belongs to another event loop or process; make one client for each "
                "(each asyncio.run, each thread, each fork)"
            )
