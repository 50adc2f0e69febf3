"""SubmitTasks: the tasks that send submits. It never cancels them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from .submit_recorder import SubmitResult


class SubmitTasks:
    """The tasks that send submits and call `on_submitted`. Closing the client waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[SubmitResult]] = set()

    def start(self, sending: Coroutine[Any, Any, SubmitResult]) -> asyncio.Task[SubmitResult]:
        """
        Start a task that sends one submit. It runs only after the caller has yielded.

        So the caller can first record which task sends the submit. An eager task factory would send
        before that, so `Task` is called without the factory.
        """
        task = asyncio.Task(sending, name="modelslab_async submit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def check_not_inside(self) -> None:
        """
        Check that the current task may wait for all tasks.

        Raises:
            RuntimeError: The current task is one of these tasks, so it would wait for itself.
        """
        if asyncio.current_task() in self._tasks:
            raise RuntimeError(
                "on_submitted and a transport cannot wait for the client to close, because closing "
                "waits for the submits that call them; close the client after `submit` has "
                "returned, or start asyncio.create_task(client.aclose()) and do not await it here"
            )

    async def wait_for_all(self) -> None:
        """Wait until no submit is in flight."""
        while self._tasks:
            await asyncio.wait(self._tasks)
