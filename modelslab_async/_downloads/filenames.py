"""Names: what a file is called, safe on every system. A server's words never get into one."""

import re
import unicodedata
from hashlib import sha256

from .._models.ticket import Ticket

# Lower case only: half of the systems hold `A` and `a` for the same name.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_LONGEST = 60
_MARK = 12


def stem_of(ticket: Ticket, n: int) -> str:
    """
    The name of an output without its ending: `family-id-n`.

    An id that would not be the same name everywhere (capitals, blanks, slashes, other scripts,
    great length) is reduced to its plain characters and told apart by a part of its checksum. The
    family in front and the number behind keep it from being a reserved name or ending in a dot.
    """
    return f"{_part(ticket.family)}-{_part(ticket.id)}-{n}"


def numbered(stem: str, number: int) -> str:
    """The name to take when `number - 1` others are taken. No stem has a dot of its own."""
    return stem if number == 1 else f"{stem}.{number}"


def _part(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = _UNSAFE.sub("_", plain)[:_LONGEST].strip("_").lower()
    return f"{slug}_{sha256(text.encode()).hexdigest()[:_MARK]}".lstrip("_")
