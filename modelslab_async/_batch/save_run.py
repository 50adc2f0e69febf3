"""Haul: a shift whose successes become files. A file is recorded before its ticket is told."""

import asyncio
from contextlib import suppress
from pathlib import Path

from .._aio.threads import in_thread
from .._downloads.delivery import Delivery, Saved, Unsaved
from .._downloads.filenames import stem_of
from .._downloads.manager import Downloads
from .._downloads.stale_parts import begun, sweep
from .._journal.pending_files import Owed
from .._journal.recorded_files import RecordedFile
from .._models.errors import JournalError
from .._models.replies import Success
from .._models.saved_file import File
from ..journal import Journal
from .poll_run import Shift
from .run import GROUP, Stop, rest_of


class Haul:
    """
    The saving of what one shift finds, and of what earlier runs left to save.

    The journal stands between the two: what the shift settles is owed there, and claimed from
    there, under the lease of the shift. So whatever dies, the rest is still owed.

    Args:
        shift: What looks. It is started and closed here.
        downloads: What saves.
        before: What runs before this one could not save is tried again.
        lease: For how many seconds tickets stay this run's if the process dies.
    """

    def __init__(
        self, shift: Shift, downloads: Downloads, journal: Journal, *, before: int, lease: float
    ) -> None:
        self.run = shift.run
        self._shift = shift
        self._downloads = downloads
        self._journal = journal
        self._before = before
        self._lease = lease
        self._free = downloads.window
        self._deliveries: asyncio.Queue[Delivery | Stop] = asyncio.Queue()
        self._places = asyncio.Semaphore(GROUP)
        self._changed = asyncio.Event()
        self._passed = False
        self._lapsed = False
        self._draining = False
        self._strange: ValueError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def lapsed(self) -> bool:
        """Whether another run has ended this one's lease."""
        return self._lapsed or self._shift.lapsed

    @property
    def left(self) -> bool:
        """Whether what was open could be left to others."""
        return self._shift.left

    def start(self, *, timeout: float | None, window: int) -> None:
        """Begin to look, and to save."""
        self._shift.start(timeout=timeout, window=window)
        passing = asyncio.create_task(self._pass(), name="modelslab_async batch outcomes")
        saving = asyncio.create_task(self._save(), name="modelslab_async batch files")
        self._tasks = [passing, saving]

    async def settled(self) -> list[Delivery] | None:
        """
        What has ended, as far as it is told one by one; None when there will be no more.

        Raises:
            JournalError: The journal cannot be written. What was not committed is not told.
        """
        news = await self._deliveries.get()
        match news:
            case Stop(error=error):
                if error is not None:
                    raise error
                return None
            case Saved() | Unsaved():
                self._release()
            case _:
                self._places.release()
        return [news]

    def drain(self) -> None:
        """Look no more, and end when the files that are on their way are there."""
        self._draining = True
        self._shift.drain()
        self._changed.set()

    async def close(self) -> None:
        """Stop looking and saving; parts stay, to be gone on with."""
        for task in self._tasks:
            task.cancel()
        # Whoever still waits, in another task, is not left waiting.
        self._deliveries.put_nowait(Stop(JournalError("the batch was closed; open it again")))
        try:
            await asyncio.wait(self._tasks)
        finally:
            await self._shift.close()

    async def _pass(self) -> None:
        """Pass on what needs no saving, and say when there is something to save."""
        try:
            while (outcomes := await self._shift.settled()) is not None:
                self._changed.set()
                for outcome in outcomes:
                    if not isinstance(outcome, Success):
                        await self._places.acquire()
                        self._deliveries.put_nowait(outcome)
        except ValueError as error:
            # A ticket that the client does not know; what others made is saved first.
            self._strange = error
        except Exception as error:  # noqa: BLE001 -- it is raised where the caller waits.
            self._deliveries.put_nowait(Stop(error))
        self._passed = True
        self._changed.set()

    async def _save(self) -> None:
        error: Exception | None = None
        try:
            await self._journal.owe()
            async with asyncio.TaskGroup() as group:
                await self._claim_all(group)
            if self._draining:
                await asyncio.wait(self._tasks[:1])
            elif not self._lapsed:
                await self._sweep()
        except ExceptionGroup as several:
            error = _first_of(several)
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        self._deliveries.put_nowait(Stop(error or self._strange))

    async def _claim_all(self, group: asyncio.TaskGroup) -> None:
        """Save what is owed, as far as the window takes it, until nothing is owed any more."""
        while not self._draining:
            self._changed.clear()
            over = self._passed
            # One claim for many: each is a commit.
            if 2 * self._free >= self._downloads.window:
                claim = await self._journal.claim_saves(
                    self.run, before=self._before, most=self._free, lease=self._lease
                )
                if claim is None:
                    self._lapsed = True
                    return
                for owed in claim.owed:
                    self._free -= 1
                    group.create_task(self._deliver(owed))
                idle = not claim.owed and self._free == self._downloads.window
                if over and idle and not claim.others and not await self._journal.owe():
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_of(self._lease)):
                    await self._changed.wait()

    async def _deliver(self, owed: Owed) -> None:
        known = map(file_of, owed.files)
        delivery = await self._downloads.deliver(owed.success, known, self._keep)
        why = delivery.cause.message if isinstance(delivery, Unsaved) else None
        if await self._journal.end_save(self.run, owed.number, why=why):
            self._deliveries.put_nowait(delivery)
        else:
            self._release()

    def _release(self) -> None:
        self._free += 1
        self._changed.set()

    async def _keep(self, file: File) -> None:
        await self._journal.record_file(
            *(file.ticket, file.n),
            path=file.path.absolute(),
            sha256=file.sha256,
            size=file.size,
            url=file.url,
        )

    async def _sweep(self) -> None:
        """Where two had one part, one of them may have left it though the other saved the file."""
        stems = await in_thread(begun, self._downloads.folder)
        if not stems:
            return
        async for file in self._journal.all_files():
            if (stem := stem_of(file.ticket, file.number)) in stems:
                await in_thread(sweep, self._downloads.folder, stem)


def file_of(record: RecordedFile) -> File:
    """A file as downloads know it."""
    return File(
        ticket=record.ticket,
        n=record.number,
        path=Path(record.path),
        sha256=record.sha256,
        size=record.size,
        url=record.url,
    )


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
