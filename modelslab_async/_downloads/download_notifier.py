"""DownloadNotifier: reports the download of one output to a listener."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from attrs import Factory, define

from .._aio.listeners import call_listener
from .._models.download_errors import DownloadError
from .._models.download_events import Downloaded, DownloadFailed, DownloadResumed, DownloadStarted
from .._models.events import Event
from .._models.saved_file import SavedFile
from .._models.ticket import Ticket
from .byte_ranges import BodyRange

OnEvent: TypeAlias = Callable[[Event], object]


@define(eq=False)
class DownloadNotifier:
    """
    Makes the events about the download of one output, and passes them to a listener.

    Args:
        on_event: Called with each event. None means no listener.
        ticket: The ticket of the generation.
        n: The zero-based index of the output.

    Attributes:
        received: How many bytes have arrived so far.
    """

    _on_event: OnEvent | None
    ticket: Ticket
    n: int
    received: int = 0
    _started: float = Factory(lambda: asyncio.get_running_loop().time())

    def begun(self, url: str, body: BodyRange) -> None:
        """Report that a transfer starts, or that it resumes after the bytes already on disk."""
        if body.start:
            self._tell(
                DownloadResumed(
                    ticket=self.ticket, n=self.n, url=url, size=body.total, offset=body.start
                )
            )
        else:
            self._tell(DownloadStarted(ticket=self.ticket, n=self.n, url=url, size=body.total))

    def saved(self, file: SavedFile) -> None:
        """Report that the output is saved as a file."""
        self._tell(Downloaded(file=file, received=self.received, elapsed=self._elapsed))

    def failed(self, error: DownloadError) -> None:
        """Report that the output could not be saved."""
        self._tell(
            DownloadFailed(
                ticket=self.ticket,
                n=self.n,
                error=error,
                received=self.received,
                elapsed=self._elapsed,
            )
        )

    @property
    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._started

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            call_listener(self._on_event, event)
