"""SavedFile: the path and the checksum of an output that was saved."""

from pathlib import Path

from attrs import field, frozen

from .ticket import Ticket


@frozen(kw_only=True)
class SavedFile:
    """
    One saved output.

    Args:
        ticket: The ticket of the output.
        n: The zero-based index of the output.
        path: The file that the output was saved to.
        sha256: The SHA-256 of the file, in hexadecimal.
        size: The size of the file in bytes.
        url: The link that the output was downloaded from, without the query; "" if the reply itself
            contained the output.
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
