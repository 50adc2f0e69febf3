"""Ticket: valid in every accepted form, refused in any other."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import FAMILIES, Ticket

# Any id of one part: no control characters, no lone surrogates, no slashes.
IDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=200
).filter(lambda text: text not in (".", "..") and text == text.strip())


class Index:
    """An integer that is no `int`, like those of numpy and pandas."""

    def __index__(self):
        return 13443927


@pytest.mark.parametrize("id_", [13443927, "13443927", Index()])
def test_int_and_str_id_make_equal_tickets(id_):
    """An id may be given as a number or as its digits."""
    assert Ticket("images", "13443927") == Ticket("images", id_)
    assert "images:13443927" == str(Ticket("images", id_))


@given(family=st.sampled_from(sorted(FAMILIES)), id_=IDS)
def test_text_form_is_parsed_back(family, id_):
    """Parsing the text of a ticket gives an equal ticket."""
    ticket = Ticket(family, id_)
    assert ticket == Ticket.parse(str(ticket))
    assert ticket == Ticket.of((family, id_))
    assert {ticket} == {Ticket.of(str(ticket))}


def test_id_may_contain_colons():
    """The first colon ends the family, and a ticket is taken as it is."""
    ticket = Ticket.parse("images:a:b")
    assert ("images", "a:b") == (ticket.family, ticket.id)
    assert ticket is Ticket.of(ticket)


@pytest.mark.parametrize(
    ("id_", "complaint"),
    [
        ("", "is empty"),
        (".", "another path"),
        ("..", "another path"),
        ("a/../b", "another path"),
        ("a//b", "empty part"),
        ("/a", "empty part"),
        ("a/", "empty part"),
        (" 1", "white space"),
        ("1 ", "white space"),
        ("a\nb", "control character"),
        ("a\x00", "control character"),
        ("a\x7f", "control character"),
        ("a\x85", "control character"),
        ("\ud800", "half a surrogate pair"),
        ("x" * 201, "201 characters"),
        pytest.param(10**5000, "at most 200 characters, got a number of 16610 bits", id="huge"),
        (True, "got bool"),
        (1.0, "got float"),
        (None, "got NoneType"),
        (b"1", "got bytes"),
        ([1], "got list"),
    ],
)
def test_invalid_id_is_refused(id_, complaint):
    """The message says what was expected and what was given."""
    with pytest.raises(ValueError, match=complaint):
        Ticket("images", id_)


@pytest.mark.parametrize("family", ["", "a b", "images:1", "7up", "a/b", None, 5, "im\nages"])
def test_invalid_family_name_is_refused(family):
    """The message shows a valid family name."""
    with pytest.raises(ValueError, match="such as 'images'"):
        Ticket(family, 1)


@pytest.mark.parametrize("value", ["13443927", 13443927, None, ("images",), ("a", 1, 2), {"a": 1}])
def test_invalid_ticket_form_is_refused(value):
    """The message names the accepted forms of a ticket."""
    with pytest.raises(ValueError, match=r"family:id|pair"):
        Ticket.of(value)


def test_tickets_sort_pickle_and_are_immutable():
    """Tickets are plain values."""
    ticket = Ticket("images", 2)
    assert [Ticket("images", 1), ticket] == sorted([ticket, Ticket("images", 1)])
    assert ticket == pickle.loads(pickle.dumps(ticket))
    with pytest.raises(AttributeError):
        ticket.id = "3"


def test_long_number_is_named_by_its_bits():
    """A number that may be too long for an id is not written out."""
    with pytest.raises(ValueError, match="got a number of 801 bits"):
        Ticket("images", 1 << 800)
    with pytest.raises(ValueError, match="is 241 characters long"):
        Ticket("images", (1 << 800) - 1)


def test_ticket_without_id_cannot_be_polled():
    """It is unique by what the client gave it, and says that the service gave no id."""
    ticket = Ticket.without_id("images", "abc")
    assert (False, "images:no-id:abc") == (ticket.has_id, str(ticket))
    with pytest.raises(ValueError, match="cannot be polled: the service gave no id"):
        ticket.require_id()
    assert Ticket("images", 1).has_id
    Ticket("images", 1).require_id()
