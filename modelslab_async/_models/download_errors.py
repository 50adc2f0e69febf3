"""Errors of saving or loading one output. They never mean that the job itself failed."""

from .errors import ModelsLabError
from .saved_file import SavedFile
from .ticket import Ticket

_ADVICE_BY_ARGUMENT = {
    "allow_private": "if that is intended, allow it with allow_private=True",
    "max_bytes": "allow more with max_bytes=...",
    "output": "if the family makes such files, say so in its Family(output=...)",
}


class DownloadError(ModelsLabError):
    """
    The job is done, but one of its outputs could not be saved or loaded. The caller can try again.

    Attributes:
        url: The link, without its query; "" if the reply itself contained the output.
        argument: The keyword argument that would allow this output; "" if there is none. It is
            `allow_private` or `max_bytes` of `Downloads`, or `output` of `Family`.
        n: The zero-based index of the output.
        saved: The outputs of the same ticket that were saved.
    """

    def __init__(
        self,
        message: str = "",
        *,
        ticket: Ticket | None = None,
        status_code: int | None = None,
        url: str = "",
        argument: str = "",
        n: int = 0,
        saved: tuple[SavedFile, ...] = (),
    ) -> None:
        super().__init__(message, ticket=ticket, status_code=status_code)
        self.url = url
        self.argument = argument
        self.advice = _ADVICE_BY_ARGUMENT.get(argument, "")
        self.n = n
        self.saved = saved


class LinkGone(DownloadError):
    """The link has no file: it has expired, or the file did not appear in time."""


class LinkRefused(DownloadError):
    """The client refuses the link: it is not https, not public, or redirects in a loop."""


class TransferFailed(DownloadError):
    """The output did not arrive: the network or server failed, or every transfer was cut off."""


class WrongContent(DownloadError):
    """The downloaded data is not a file of the expected kind. It may be an error page."""


class FileTooLarge(DownloadError):
    """The output has more bytes than the caller allows."""


class FileNotWritten(DownloadError):
    """This machine could not write the file, for example because the disk is full."""
