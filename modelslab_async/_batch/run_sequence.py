"""RunSequence: the runs of one batch in one process, one after another. It polls nothing itself."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from .._models.validation import check_count, check_nonnegative_seconds
from ..journal import Journal
from .run_protocol import Run

T = TypeVar("T")


class RunSequence:
    """
    Begins runs and closes them.

    Args:
        journal: Records the runs and their leases.
        lease: For how many seconds the tickets of a run stay its own if the process dies.
    """

    def __init__(self, journal: Journal, lease: float) -> None:
        self._journal = journal
        self._lease = lease
        self._active_runs: list[Run[Any]] = []
        # The journal could not record that these have ended.
        self._unended_run_ids: list[int] = []
        self._is_draining = False

    async def results(
        self, make_run: Callable[[int, int], Run[T]], timeout: float | None, window: int
    ) -> AsyncGenerator[T, None]:
        """
        Yield the results of a run, and of further runs for as long as leases are lost.

        Args:
            make_run: Makes a run from its number and that of the first run of this call.
            timeout: The most seconds to wait for each ticket.
            window: The most tickets that the run holds at once.

        Raises:
            ValueError: The timeout or the window is out of its range.
        """
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_count("window", window)
        first_id: int | None = None
        while not self._is_draining:
            run_id = await self._begin()
            first_id = first_id or run_id
            run = make_run(run_id, first_id)
            self._active_runs.append(run)
            run.start(timeout=timeout, window=window)
            try:
                while (results := await run.next_results()) is not None:
                    for result in results:
                        yield result
            finally:
                await self._close(run)
            # A process that stood still for longer than its lease begins again with what is open.
            if not run.has_lost_lease:
                return

    def drain(self) -> None:
        """Begin no new run, and let the active ones finish what is in flight."""
        self._is_draining = True
        for run in self._active_runs:
            run.drain()

    async def aclose(self) -> None:
        """Close the active runs, and leave their open tickets to others."""
        for run in [*self._active_runs]:
            await self._close(run)

    async def _begin(self) -> int:
        while self._unended_run_ids:
            await self._journal.leases.end_run(self._unended_run_ids[-1])
            self._unended_run_ids.pop()
        return await self._journal.leases.begin_run(lease=self._lease)

    async def _close(self, run: Run[Any]) -> None:
        if run in self._active_runs:
            self._active_runs.remove(run)
            await run.close()
            if not run.is_released:
                self._unended_run_ids.append(run.run_id)
