"""Suggests known names that are similar to an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches

# The lowest similarity, from 0 to 1, at which a name counts as a misspelling of another name. With
# this value, `witdh` counts as a misspelling of `width`.
_MISSPELLING_SIMILARITY = 0.8
# The lowest similarity, from 0 to 1, at which a name is suggested. It is below
# `_MISSPELLING_SIMILARITY`, because a poor suggestion does no harm.
_SUGGESTION_SIMILARITY = 0.5
_MAX_SUGGESTIONS = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Return a "did you mean" question with similar known names, or "" if none is similar.

    Known names that begin with `name` come first. Among these, text2img comes first, because it is
    the most common endpoint of a family.
    """
    names = list(known)
    completions = [other for other in names if name and other.startswith(name)]
    completions.sort(key=lambda other: (not other.endswith("/text2img"), len(other), other))
    similar = get_close_matches(name, names, n=_MAX_SUGGESTIONS, cutoff=_SUGGESTION_SIMILARITY)
    matches = [*dict.fromkeys((*completions, *similar))][:_MAX_SUGGESTIONS]
    return f"did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """
    Return the known name that `name` probably misspells, or None.

    A known name plus another word, such as `prompt_2`, is not a misspelling. It may be a new
    parameter of the service.
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
