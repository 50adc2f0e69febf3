"""Ownership: what belongs to one event loop of one process, is used there, and ends once."""

import asyncio
import os
from abc import abstractmethod
from types import TracebackType
from typing import Self

from .._models.errors import ClientClosed


class LoopBound:
    """
    Something that may be opened and closed in different tasks, and shared by all tasks of one loop.

    It is closed once, however many ask for it, and whatever becomes of those who ask.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False
        self._close_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._check_usable()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every wait (its tickets can be waited for again) and close the connections."""
        self._check_loop()
        self._closed = True
        if self._close_task is None:
            self._close_task = asyncio.create_task(self._close(), name="modelslab_async close")
        # Whoever is cancelled here leaves the closing to itself; who comes later waits for it.
        await asyncio.shield(self._close_task)

    @abstractmethod
    async def _close(self) -> None: ...

    def _check_usable(self) -> None:
        self._check_loop()
        if self._closed:
            raise ClientClosed("this client is closed; make a new one")

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop or self._process != os.getpid():
            raise RuntimeError(
                "this client belongs to another event loop or process; make one client for each "
                "(each asyncio.run, each thread, each fork)"
            )
