"""Suggests known names in place of an unknown one. A suggestion is shown, but never used."""

from collections.abc import Iterable
from difflib import get_close_matches

# This is low enough to find two swapped letters in a word of five letters, such as `witdh`.
_MISSPELLING_SIMILARITY = 0.8
# Lower than `_MISSPELLING_SIMILARITY`, because here the name is certainly unknown. So a poor
# suggestion does no harm.
_SUGGESTION_SIMILARITY = 0.5
_MAX_SUGGESTIONS = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that lists the most similar known names; "" if none is similar."""
    matches = get_close_matches(
        name, list(known), n=_MAX_SUGGESTIONS, cutoff=_SUGGESTION_SIMILARITY
    )
    return f"did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """
    Return the known name that this name probably misspells, or None.

    A known name with a word added, such as `prompt_2`, is no misspelling, because services
    add parameters with such names.
    """
    lowered = {other.casefold(): other for other in known}
    matches = get_close_matches(
        name.casefold(), lowered, n=len(lowered) or 1, cutoff=_MISSPELLING_SIMILARITY
    )
    if not matches or any(_words(name) > _words(lowered[other]) for other in matches):
        return None
    return lowered[matches[0]]


def _words(name: str) -> frozenset[str]:
    return frozenset(name.split("_")) - {""}
