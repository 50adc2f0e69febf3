"""Names: what a file is called, safe on every system. A server's words never get into one."""

import re
import unicodedata
from hashlib import sha256

from .._models.ticket import Ticket

# Lower case only: half of the systems hold `A` and `a` for the same name.
_SAFE_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_UNSAFE_PATTERN = re.compile(r"[^A-Za-z0-9]+")
_MAX_SLUG_CHARS = 60
_DIGEST_CHARS = 12


def stem_of(ticket: Ticket, n: int) -> str:
    """
    The name of an output without its ending: `family-id-n`.

    An id that would not be the same name everywhere (capitals, blanks, slashes, other scripts,
    great length) is reduced to its plain characters and told apart by a part of its checksum. The
    family in front and the number behind keep it from being a reserved name or ending in a dot.
    """
    return f"{_safe_name(ticket.family)}-{_safe_name(ticket.id)}-{n}"


def numbered_stem(stem: str, number: int) -> str:
    """The name to take when `number - 1` others are taken. No stem has a dot of its own."""
    return stem if number == 1 else f"{stem}.{number}"


def _safe_name(text: str) -> str:
    if _SAFE_PATTERN.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = _UNSAFE_PATTERN.sub("_", plain)[:_MAX_SLUG_CHARS].strip("_").lower()
    return f"{slug}_{sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]}".lstrip("_")
