"""Suggests known names that are similar to an unknown one, but never replaces it."""

from collections.abc import Iterable
from difflib import get_close_matches

# How similar two names must be for one to count as a misspelling of the other. The value is low
# enough to find two swapped letters in a word of five letters, such as `witdh`.
_MISSPELLING_SIMILARITY = 0.8
# How similar a name must be to be suggested for an unknown name. The value is lower than
# `_MISSPELLING_SIMILARITY`, because a poor suggestion does no harm.
_SUGGESTION_SIMILARITY = 0.5
_MAX_SUGGESTIONS = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a "did you mean" question with similar known names, or "" if none is similar."""
    matches = get_close_matches(
        name, list(known), n=_MAX_SUGGESTIONS, cutoff=_SUGGESTION_SIMILARITY
    )
    return f"did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """
    Return the known name that `name` probably misspells, or None.

    A known name plus another word, such as `prompt_2`, is not a misspelling, because services add
    parameters with such names.
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
