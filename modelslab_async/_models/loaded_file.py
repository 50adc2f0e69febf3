"""LoadedFile: an output of a ticket, held in memory."""

from attrs import field, frozen

from .short_repr import short_repr
from .ticket import Ticket


@frozen(kw_only=True)
class LoadedFile:
    """
    One output in memory.

    Args:
        ticket: The ticket of the output.
        n: The zero-based index of the output.
        name: A file name for the output, such as `images-13443927-0.png`. No part of the name comes
            from the server.
        data: The bytes of the output.
        sha256: The SHA-256 of the bytes, in hexadecimal.
        url: The link that the output was downloaded from, without the query; "" if the reply itself
            contained the output.
        is_length_verified: Whether the bytes have the length that the server announced. False if
            the server announced no length, so a cut transfer may go unnoticed.
    """

    ticket: Ticket
    n: int
    name: str
    data: bytes = field(repr=short_repr)
    sha256: str
    url: str = ""
    is_length_verified: bool = True
