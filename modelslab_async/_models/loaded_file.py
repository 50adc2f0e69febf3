"""LoadedFile: an output in memory. It reads and writes nothing."""

from attrs import field, frozen

from .short_repr import short_repr
from .ticket import Ticket


@frozen(kw_only=True)
class LoadedFile:
    """
    One output in memory.

    Args:
        ticket: The ticket of the output.
        n: The number of the output, counted from 0.
        name: A file name for it, such as `images-13443927-0.png`. No part comes from a server.
        data: Its bytes.
        sha256: Their SHA-256, in hexadecimal.
        url: The link it came from, without its query; "" if the reply itself held the bytes.
        is_length_verified: Whether the bytes have the length that the server announced. False if it
            announced none, so that a cut transfer may have gone unnoticed.
    """

    ticket: Ticket
    n: int
    name: str
    data: bytes = field(repr=short_repr)
    sha256: str
    url: str = ""
    is_length_verified: bool = True
