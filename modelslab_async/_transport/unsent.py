"""Holding back: a call that is cut off before its request left says so. It cuts nothing off."""

# A note, since it goes wherever the very exception goes, and changes nothing about it.
_NEVER_LEFT = "the request had not left this machine"


def held_back(end: BaseException) -> None:
    """Say of a cancellation, or of a deadline that has passed, that the request never left."""
    if not is_held_back(end):
        end.add_note(_NEVER_LEFT)


def is_held_back(end: BaseException) -> bool:
    """Whether somebody who knows said so."""
    return _NEVER_LEFT in getattr(end, "__notes__", ())
