"""InFlightSubmits: tracks the submits that tasks of this process record and send."""

import asyncio
from collections.abc import Callable
from typing import Any

from attrs import define, field

from .._aio.yield_and_wakeup import wait_to_end
from .._journal.own_submits import OwnSubmit
from .leased_tickets import Lease


@define(eq=False)
class InFlightSubmit:
    """
    A submit that a task records and sends.

    Attributes:
        own: The record of the submit; None while it is not recorded yet.
        lease: The lease of the record. While it lasts, no other process settles the submit.
        may_have_been_sent: If false, the submit certainly started no work.
        ended: Done once the result of the submit is recorded, or is kept in memory to be recorded
            later.
    """

    own: OwnSubmit | None = None
    lease: Lease | None = None
    may_have_been_sent: bool = False
    ended: asyncio.Future[None] = field(
        factory=lambda: asyncio.get_running_loop().create_future(), init=False
    )


class InFlightSubmits:
    """
    The submits in flight, at most one for each task.

    Args:
        on_cut_off: Called with each submit whose task has ended without `leave`: something has
            cancelled the task, or it was stopped by an exception such as `SystemExit`.
    """

    def __init__(self, on_cut_off: Callable[[InFlightSubmit], object]) -> None:
        self._on_cut_off = on_cut_off
        self._of_tasks: dict[asyncio.Task[object] | None, InFlightSubmit] = {}

    def enter(self) -> InFlightSubmit:
        """Add a submit for the current task. It is removed when the task ends, or by `leave`."""
        task = asyncio.current_task()
        self._of_tasks[task] = in_flight = InFlightSubmit()
        if task is not None:
            task.add_done_callback(self._on_task_ended)
        return in_flight

    def begin_sending(self, task: asyncio.Task[Any] | None) -> bool:
        """
        Return False if the lease of the task's submit is over, so that it must not be sent.

        Otherwise, the submit counts as sent from now on.
        """
        in_flight = self._of_tasks.get(task)
        if in_flight is None or in_flight.lease is None or in_flight.lease.is_over:
            return False
        in_flight.may_have_been_sent = True
        return True

    def recorded(self) -> OwnSubmit:
        """
        Return the record of the current task's submit.

        Raises:
            RuntimeError: The task has recorded no submit.
        """
        in_flight = self._of_tasks.get(asyncio.current_task())
        if in_flight is None or in_flight.own is None:
            raise RuntimeError("this task has recorded no submit")
        return in_flight.own

    def leave(self) -> None:
        """Remove the submit of the current task."""
        self._remove(asyncio.current_task())

    def _on_task_ended(self, task: asyncio.Task[object]) -> None:
        in_flight = self._remove(task)
        if in_flight is not None:
            self._on_cut_off(in_flight)

    def _remove(self, task: asyncio.Task[object] | None) -> InFlightSubmit | None:
        if (in_flight := self._of_tasks.pop(task, None)) is not None:
            in_flight.ended.set_result(None)
        return in_flight

    async def wait_for_all(self) -> None:
        """Wait until no submit is in flight."""
        while self._of_tasks:
            # Do not leave early if this task is cancelled: the results could not be recorded later.
            await wait_to_end(next(iter(self._of_tasks.values())).ended)
