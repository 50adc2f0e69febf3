"""Fetches the outputs of a generation into memory."""

from collections.abc import Collection

from attrs import evolve

from .._models.download_errors import DownloadError
from .._models.loaded_file import LoadedFile
from .._models.replies import Success
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
    loaded: list[LoadedFile] = []
    loaded_bytes = 0
    for n in range(len(success.output)):
        folder = MemoryFolder()
        transfer = Transfer(opener, SizeLimit(max_bytes, loaded_bytes))
        memory_saver = evolve(saver, folder=folder, transfer=transfer)
        try:
            file = await memory_saver.save(success, n, media, renewal)
        except DownloadError as fault:
            fault.ticket, fault.n = success.ticket, n
            raise
        loaded_bytes += file.size
        loaded.append(
            LoadedFile(
                ticket=file.ticket,
                n=n,
                name=file.path.name,
                data=folder.files[file.path],
                sha256=file.sha256,
                url=file.url,
                is_length_verified=file.is_length_verified,
            )
        )
    return tuple(loaded)
