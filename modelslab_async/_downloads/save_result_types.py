"""Defines the results of saving a generation's outputs: `Saved` and `Unsaved`."""

from typing import TypeAlias

from attrs import frozen

from .._models.download_errors import DownloadError
from .._models.replies import Failed, Success
from .._models.saved_file import SavedFile
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Unresolved


@frozen(kw_only=True)
class Saved:
    """
    All outputs of a generation are saved.

    Attributes:
        ticket: The ticket of the generation.
        files: The files, in the order of the outputs. Empty if the generation has no output.
        success: The reply with the outputs.
    """

    ticket: Ticket
    files: tuple[SavedFile, ...]
    success: Success


@frozen(kw_only=True)
class Unsaved:
    """
    The generation succeeded, but not all its outputs could be saved. The caller may save again.

    Attributes:
        ticket: The ticket of the generation.
        cause: The error of the first output that could not be saved.
        files: The files of the other outputs.
        success: The reply with the outputs.
    """

    ticket: Ticket
    cause: DownloadError
    files: tuple[SavedFile, ...]
    success: Success


SaveResult: TypeAlias = Saved | Unsaved | Failed | Unresolved
