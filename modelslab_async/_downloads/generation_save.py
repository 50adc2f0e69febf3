"""GenerationSave: saves all outputs of a generation concurrently, and returns the errors."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from attrs import frozen

from .._aio.telemetry import Telemetry, traced
from .._aio.threads import run_in_thread
from .._models.download_errors import DownloadError
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._registry.family import Medium
from .download_error_translation import as_download_error
from .link_renewal import LinkRenewal
from .save_output import OnSaved, OutputSaver
from .save_result_types import Saved, Unsaved
from .verify_saved_files import is_unchanged


@frozen(kw_only=True)
class GenerationSave:
    """
    Saves the outputs of one generation.

    Args:
        success: The reply with the outputs.
        saver: Saves one output.
        media: The media that the family makes.
        renewal: Polls for new links. None if links cannot be renewed.
        known: The files that earlier runs saved, keyed by the zero-based index of the output.
        folder: The folder of `saver`. With `on_saved`, known files in other folders are copied into
            it.
        on_saved: Awaited with each new file, to record the file before its `.part` file is deleted.
        telemetry: Makes a span for each output. None for no spans.
    """

    success: Success
    saver: OutputSaver
    media: Collection[Medium]
    renewal: LinkRenewal | None
    known: Mapping[int, SavedFile]
    folder: Path
    on_saved: OnSaved | None
    telemetry: Telemetry | None

    async def run(self) -> Saved | Unsaved:
        """Save all outputs. Return failures instead of raising them."""
        success = self.success
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._save_one(n)) for n in range(len(success.output))]
        results = [task.result() for task in tasks]
        files = tuple(result for result in results if isinstance(result, SavedFile))
        cause = next((result for result in results if isinstance(result, DownloadError)), None)
        if cause is None:
            return Saved(ticket=success.ticket, files=files, success=success)
        cause.saved = files
        return Unsaved(ticket=success.ticket, cause=cause, files=files, success=success)

    async def _save_one(self, n: int) -> SavedFile | DownloadError:
        ticket = self.success.ticket
        try:
            with as_download_error():
                known = await self._unchanged(n)
                if known is not None and await self._stays(known):
                    return known
            saving = self.saver.save(
                self.success, n, self.media, self.renewal, self.on_saved, unchanged=known
            )
            if self.telemetry is not None:
                saving = traced(self.telemetry, "modelslab.download", saving, ticket=ticket)
            return await saving
        except DownloadError as fault:
            fault.ticket, fault.n = ticket, n
            return fault

    async def _unchanged(self, n: int) -> SavedFile | None:
        """Return the known file of an output, if it still has the recorded bytes."""
        known = self.known.get(n)
        return known if known is not None and await is_unchanged(known, known.path) else None

    async def _stays(self, known: SavedFile) -> bool:
        """
        Whether a known file stays where it is, instead of being copied to `folder`.

        Without `on_saved`, it always stays, because nothing would record the copy.
        """
        if self.on_saved is None:
            return True
        return await run_in_thread(_is_same_folder, known.path.parent, self.folder)


def _is_same_folder(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
