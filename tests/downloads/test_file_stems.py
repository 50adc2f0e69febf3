"""File names: every output has a safe stem of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import FAMILIES, Ticket
from modelslab_async._downloads.file_stems import stem_of

RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in "0123")}


def is_id(text):
    try:
        Ticket("images", text)
    except ValueError:
        return False
    return True


IDS = st.text(min_size=1, max_size=60).filter(is_id)


def test_plain_id_is_part_of_the_name():
    """A file can be found by its ticket."""
    assert "images-13443927-0" == stem_of(Ticket("images", 13443927), 0)
    assert "video-8f14e45f-ea2a-3" == stem_of(Ticket("video", "8f14e45f-ea2a"), 3)


@given(id_=IDS, family=st.sampled_from([*FAMILIES, "con", "A-b"]), n=st.integers(0, 99))
def test_every_stem_is_safe_on_every_system(id_, family, n):
    """It has no slash, capital or dot, is no reserved name, and is short."""
    stem = stem_of(Ticket(family, id_), n)

    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert len(stem) < 200
    assert stem.endswith(f"-{n}")
    assert stem not in RESERVED


@given(first=IDS, second=IDS)
def test_other_ids_have_other_stems(first, second):
    """Also ids that differ only in capitals or accents."""
    names = {stem_of(Ticket("images", id_), 0) for id_ in (first, second)}

    assert len({first, second}) == len(names)


@pytest.mark.parametrize(
    ("first", "second"), [("aB", "Ab"), ("a b", "a_b"), ("ß", "ss"), ("é", "e"), ("1/2", "1_2")]
)
def test_similar_ids_have_different_stems(first, second):
    """Their stems differ even where case and accents are ignored."""
    assert stem_of(Ticket("x", first), 0).lower() != stem_of(Ticket("x", second), 0).lower()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a", "b-c"), ("a-b", "c")),
        (("a", "b-c-d"), ("a-b-c", "d")),
        (("a", "É"), ("a", stem_of(Ticket("a", "É"), 0).split("-")[1])),
        (("a", "中"), ("a", stem_of(Ticket("a", "中"), 0).split("-")[1])),
        (("A", "1"), (stem_of(Ticket("A", "1"), 0).split("-")[0], "1")),
    ],
)
def test_tickets_of_two_families_have_other_stems(first, second):
    """A dash in a family, or an id that looks like a checksum, never meets another ticket."""
    assert stem_of(Ticket(*first), 0) != stem_of(Ticket(*second), 0)
