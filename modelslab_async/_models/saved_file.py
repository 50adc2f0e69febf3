"""SavedFile: an output that was saved, with its checksum. It reads and writes no file."""

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
        sha256: The SHA-256 of the file, in hexadecimal.
        size: The length of the file in bytes.
        url: The link that the output was downloaded from, without the query; "" if the reply itself
            held the bytes.
        is_length_verified: Whether the file has the length that the server announced. False if the
            server announced no length, so a cut transfer may go unnoticed.
    """

    ticket: Ticket
    n: int
    path: Path = field(converter=Path)
    sha256: str
    size: int
    url: str = ""
    is_length_verified: bool = True
