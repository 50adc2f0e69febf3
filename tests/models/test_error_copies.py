"""Each of several callers gets an error of its own."""

import copyreg

import pytest

from modelslab_async import JournalFull, RateLimited, Ticket
from modelslab_async._models.error_copies import own_copy


@pytest.mark.parametrize("kind", [JournalFull, RuntimeError])
def test_note_on_a_copy_is_not_on_the_error(kind):
    """The copy has the cause, the traceback and the notes that the error had."""
    with pytest.raises(kind) as caught:
        raise kind("no room") from OSError("disk")
    error = caught.value
    error.add_note("seen by all")
    own = own_copy(error)
    assert (type(error), str(error), error.__cause__) == (type(own), str(own), own.__cause__)
    assert error.__traceback__ is own.__traceback__
    own.add_note("seen by one")
    assert ["seen by all"] == error.__notes__
    assert ["seen by all", "seen by one"] == own.__notes__


def test_copy_shares_no_attributes_though_tblib_changes_how_errors_are_copied(monkeypatch):
    """tblib, which Dask installs, makes a copy that shares its attributes with the original."""

    def share(error):
        clone = type(error)(*error.args)
        clone.__dict__ = error.__dict__
        return clone

    monkeypatch.setitem(copyreg.dispatch_table, RuntimeError, lambda error: (share, (error,)))
    error = RuntimeError("no room")
    own_copy(error).add_note("seen by one")
    assert not hasattr(error, "__notes__")


def raise_with_context():
    try:
        [].pop()
    except IndexError:
        raise RuntimeError("no room")  # noqa: B904 -- the context is what is tested.


def test_context_stays_hidden_or_shown():
    """Another error was being handled when the error was raised, and is its context."""
    with pytest.raises(RuntimeError) as caught:
        raise_with_context()
    error = caught.value
    own = own_copy(error)
    assert error.__context__ is own.__context__
    assert isinstance(own.__context__, IndexError)
    assert not own.__suppress_context__
    error.__suppress_context__ = True
    assert own_copy(error).__suppress_context__


def test_error_whose_class_cannot_be_called_is_its_own_copy():
    """No caller loses the error."""

    class Odd(Exception):
        def __new__(cls, code, *_):
            if not isinstance(code, int):
                raise TypeError
            return super().__new__(cls)

    error = Odd(5)
    error.args = ("five",)
    assert error is own_copy(error)


def test_note_on_an_error_for_another_ticket_is_not_on_the_error():
    """Many outcomes may be made from one error of the server."""
    error = RateLimited("slow")
    error.add_note("seen by all")
    error.with_ticket(Ticket("images", 1)).add_note("seen by one")
    assert ["seen by all"] == error.__notes__
