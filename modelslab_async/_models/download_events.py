"""The events of downloads: plain values for metrics, without API keys and URL queries."""

from attrs import frozen

from .download_errors import DownloadError
from .saved_file import SavedFile
from .ticket import Ticket


@frozen(kw_only=True)
class DownloadStarted:
    """
    The transfer of a file starts, or starts over, at the first byte of the file.

    Attributes:
        ticket: The ticket of the output.
        n: The zero-based index of the output.
        url: The link, without its query.
        size: The size of the file in bytes; None if the server announced none.
    """

    ticket: Ticket
    n: int
    url: str
    size: int | None


@frozen(kw_only=True)
class DownloadResumed:
    """
    The transfer of a file resumes where an earlier transfer was cut off.

    Attributes:
        ticket: The ticket of the output.
        n: The zero-based index of the output.
        url: The link, without its query.
        size: The size of the whole file in bytes; None if the server announced none.
        offset: The number of bytes that earlier transfers received.
    """

    ticket: Ticket
    n: int
    url: str
    size: int | None
    offset: int


@frozen(kw_only=True)
class Downloaded:
    """
    An output was saved or loaded completely.

    Attributes:
        file: The file, with its ticket, path and size. For an output in memory, the path is only a
            file name.
        received: The number of bytes that came over the network. This is less than the size if an
            earlier run left a part of the file. It is more if the transfer started over.
        elapsed: Seconds since the save began, including the wait for other transfers.
    """

    file: SavedFile
    received: int
    elapsed: float


@frozen(kw_only=True)
class DownloadFailed:
    """
    An output could not be saved or loaded. If a save can be resumed, the received bytes are kept.

    Attributes:
        ticket: The ticket of the output.
        n: The zero-based index of the output.
        error: The error.
        received: The number of bytes that came over the network.
        elapsed: Seconds since the save began.
    """

    ticket: Ticket
    n: int
    error: DownloadError
    received: int
    elapsed: float
