"""Turns tickets into file names that are safe on every system."""

import re
import unicodedata
from hashlib import sha256

from .._models.ticket import Ticket

# A safe id has no capitals, because `A` and `a` are the same file name on Windows and macOS.
_SAFE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
# A safe family has no dash, because the first dash in a file name ends the family.
_SAFE_FAMILY = re.compile(r"[a-z0-9][a-z0-9_]{0,79}")
_UNSAFE_CHARS = re.compile(r"[^A-Za-z0-9]+")
_MAX_SLUG_CHARS = 60
_DIGEST_CHARS = 12
_ENDS_IN_DIGEST = re.compile(rf".*_[0-9a-f]{{{_DIGEST_CHARS}}}")
_EMPTY_SLUG = "id"


def stem_of(ticket: Ticket, n: int) -> str:
    """
    Return the file name of an output without its suffix: `family-id-n`.

    A family or id that is not safe in a file name becomes `<letters and digits>_<checksum>`. The
    checksum makes sure that different tickets get different names.
    """
    family, id_ = _safe_name(ticket.family, _SAFE_FAMILY), _safe_name(ticket.id, _SAFE_ID)
    return f"{family}-{id_}-{n}"


def numbered_stem(stem: str, number: int) -> str:
    """Return `stem` for the number 1, `stem.2` for 2, `stem.3` for 3 and so on."""
    return stem if number == 1 else f"{stem}.{number}"


def _safe_name(text: str, safe: re.Pattern[str]) -> str:
    if safe.fullmatch(text) and not _ENDS_IN_DIGEST.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = _UNSAFE_CHARS.sub("_", plain)[:_MAX_SLUG_CHARS].strip("_").lower()
    digest = sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{slug or _EMPTY_SLUG}_{digest}"
