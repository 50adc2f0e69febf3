"""Copies of errors, for several callers that would otherwise get one error object."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def bare_copy(error: E) -> E:
    """Return an error of the same class with the same arguments and attributes."""
    # Do not use `copy.copy`. The package tblib, which Dask installs, changes how exceptions are
    # pickled and copied: the copy would share its attributes with the original.
    bare = type(error).__new__(type(error), *error.args)
    vars(bare).update(vars(error))
    bare.args = error.args
    return bare


def own_copy(error: E) -> E:
    """
    Return a copy of an error, with its cause, its traceback and its notes.

    If several callers got the same object, each would also see the notes and the traceback that
    another caller adds. A note may say that work was started, and this is true for one caller only.
    """
    try:
        own = bare_copy(error)
    except Exception:  # noqa: BLE001 -- a foreign class may raise anything.
        return error
    if (notes := getattr(error, "__notes__", None)) is not None:
        own.__notes__ = [*notes]
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    return own.with_traceback(error.__traceback__)
