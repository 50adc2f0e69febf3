"""SavedFile: an output that was saved, with its checksum. It reads and writes nothing."""

from pathlib import Path

from attrs import field, frozen

from .ticket import Ticket


@frozen(kw_only=True)
class SavedFile:
    """
    One saved output.

    Args:
        ticket: The ticket of the output.
        n: The number of the output, counted from 0.
        path: The file it was saved to.
        sha256: The SHA-256 of its bytes, in hexadecimal.
        size: Its length in bytes.
        url: The link it came from, without its query; "" if the reply itself held the bytes.
        is_length_verified: Whether the file has the length that the server announced. False if it
            announced none, so that a cut transfer may have gone unnoticed.
    """

    ticket: Ticket
    n: int
    path: Path = field(converter=Path)
    sha256: str
    size: int
    url: str = ""
    is_length_verified: bool = True
