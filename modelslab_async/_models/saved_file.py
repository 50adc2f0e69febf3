"""File: an output that was saved, and what its bytes were. It reads and writes nothing."""

from pathlib import Path

from attrs import field, frozen

from .ticket import Ticket


@frozen(kw_only=True)
class SavedFile:
    """
    One saved output.

    Args:
        ticket: Whose output it is.
        n: Which of the ticket's outputs, counted from 0.
        path: Where it was saved.
        sha256: The checksum of its bytes, in hexadecimal.
        size: How many bytes.
        url: The link it came from, without its query; "" where the reply itself held the bytes.
        is_length_verified: Whether the file has the length that its server announced. False where
            the server announced none, so that a cut may have gone unnoticed.
    """

    ticket: Ticket
    n: int
    path: Path = field(converter=Path)
    sha256: str
    size: int
    url: str = ""
    is_length_verified: bool = True
