"""Fetches the outputs of a generation into memory."""

from collections.abc import Collection

from attrs import evolve

from .._models.download_errors import DownloadError
from .._models.loaded_file import LoadedFile
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._registry.family import Medium
from .http_get import LinkOpener
from .link_renewal import LinkRenewal
from .memory_part import MemoryFolder
from .save_output import OutputSaver
from .size_limit import SizeLimit
from .transfer import Transfer

# The default maximum for all outputs of a generation together, in bytes. It is enough for pictures
# and short films.
DEFAULT_LOADED_BYTES = 32 << 20


async def load_outputs(
    saver: OutputSaver,
    opener: LinkOpener,
    success: Success,
    *,
    media: Collection[Medium],
    renewal: LinkRenewal | None,
    max_bytes: int,
) -> tuple[LoadedFile, ...]:
    """
    Load all outputs, one after another.

    Args:
        saver: Its settings apply to each output, except for its folder and its maximum size.
        opener: Opens links.
        success: The reply with the outputs.
        media: The media that the family makes.
        renewal: Polls for new links. None if links cannot be renewed.
        max_bytes: The maximum number of bytes of all outputs together.

    Raises:
        FileTooLarge: The outputs have more bytes than `max_bytes`.
        DownloadError: An output could not be loaded.
    """
    folder = MemoryFolder()
    files: list[SavedFile] = []
    try:
        for n in range(len(success.output)):
            size_limit = SizeLimit(max_bytes, sum(file.size for file in files))
            memory_saver = evolve(saver, folder=folder, transfer=Transfer(opener, size_limit))
            files.append(await memory_saver.save(success, n, media, renewal))
        return tuple(_loaded_file(file, folder) for file in files)
    except DownloadError as fault:
        fault.ticket, fault.n = success.ticket, len(files)
        raise
    finally:
        # The traceback of an error refers to this folder. Clear the folder, so that a program that
        # stores the error does not keep the bytes in memory.
        folder.clear()


def _loaded_file(file: SavedFile, folder: MemoryFolder) -> LoadedFile:
    return LoadedFile(
        ticket=file.ticket,
        n=file.n,
        name=file.path.name,
        data=folder.files[file.path],
        sha256=file.sha256,
        url=file.url,
        is_length_verified=file.is_length_verified,
    )
