"""Spelling: which known name a stranger was meant to be, if any."""

from collections.abc import Iterable
from difflib import get_close_matches

# Low enough for two letters that changed places in a word of five, `witdh`.
_MIN_SIMILARITY = 0.8


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """
    The known name that this one looks like a misspelling of; None: it is a name of its own.

    A known name with a word added, such as `prompt_2`, is a name of its own: so do services grow.
    """
    lowered = {other.casefold(): other for other in known}
    matches = get_close_matches(
        name.casefold(), lowered, n=len(lowered) or 1, cutoff=_MIN_SIMILARITY
    )
    if not matches or any(_words(name) > _words(lowered[other]) for other in matches):
        return None
    return lowered[matches[0]]


def _words(name: str) -> frozenset[str]:
    return frozenset(name.split("_")) - {""}
