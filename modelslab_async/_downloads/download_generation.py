"""The public function `download`: saves the outputs of one generation."""

from pathlib import Path

from .._models.replies import Success
from .._models.saved_file import SavedFile
from .downloads import Downloads
from .http_get import HTTPClient
from .link_renewal import SupportsFetch


async def download(
    success: Success,
    *,
    to: str | Path,
    client: SupportsFetch | None = None,
    allow_private: bool = False,
    http: HTTPClient | None = None,
) -> tuple[SavedFile, ...]:
    """
    Save the outputs of one generation.

    To save many generations, use `Downloads`, which reuses connections.

    Args:
        success: The reply with the outputs.
        to: The folder. It is created if it does not exist.
        client: A client that polls the ticket once for new links when a link has expired.
        allow_private: Allow plain http and private addresses.
        http: The client or transport that sends the requests, as for `Downloads`.

    Raises:
        DownloadError: An output could not be saved.
        TypeError: An argument has the wrong type.
    """
    async with Downloads(client, to=to, allow_private=allow_private, http=http) as downloads:
        return await downloads.save(success)
