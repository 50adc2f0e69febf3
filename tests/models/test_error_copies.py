"""Each of several callers gets an error of its own."""

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


def test_note_on_an_error_for_another_ticket_is_not_on_the_error():
    """Many outcomes may be made from one error of the server."""
    error = RateLimited("slow")
    error.add_note("seen by all")
    error.with_ticket(Ticket("images", 1)).add_note("seen by one")
    assert ["seen by all"] == error.__notes__
