"""Holding back: a call that is cut off before its request left says so. It cuts nothing off."""

# A note, since it goes wherever the very exception goes, and changes nothing about it.
_UNSENT_NOTE = "the request had not left this machine"


def mark_unsent(error: BaseException) -> None:
    """Say of a cancellation, or of a deadline that has passed, that the request never left."""
    if not is_unsent(error):
        error.add_note(_UNSENT_NOTE)


def is_unsent(error: BaseException) -> bool:
    """Whether somebody who knows said so."""
    return _UNSENT_NOTE in getattr(error, "__notes__", ())
