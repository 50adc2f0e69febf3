"""Tables: rows that never change, shown in a signature as how many they are."""

import copy
import inspect
import pickle
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from modelslab_async import ENDPOINTS, FAMILIES, Client, Family
from modelslab_async._registry.tables import Table

ROWS = {"a": 1, "b": 2}
TABLE = Table("letters", ROWS)


def test_a_table_is_shown_as_how_many_it_has():
    """Whoever reads the help of the client sees its arguments, not 200 rows."""
    assert (f"<{len(FAMILIES)} families>", f"<{len(ENDPOINTS)} endpoints>") == (
        repr(FAMILIES),
        repr(ENDPOINTS),
    )
    assert len(str(inspect.signature(Client))) < 3000


def test_a_table_is_a_mapping():
    """It is read as the dictionary is that it was made of, and equal to that."""
    assert isinstance(TABLE, Mapping)
    assert ROWS == TABLE == MappingProxyType(ROWS)
    assert [*ROWS] == [*TABLE]
    assert [*reversed(ROWS)] == [*reversed(TABLE)]
    assert (2, True, False) == (len(TABLE), "a" in TABLE, "c" in TABLE)
    assert (1, None) == (TABLE["a"], TABLE.get("c"))
    assert ROWS == TABLE.copy() == {**TABLE}
    match TABLE:
        case {"b": found}:
            assert 2 == found


def test_a_table_joined_makes_a_dictionary():
    """From either side, the later row wins, and the table itself stays as it was."""
    own = Family(name="images", url="{base}/v8/images/fetch/{id}")
    joined = FAMILIES | {"images": own}
    assert type(joined) is dict
    assert joined["images"] is own
    assert FAMILIES["images"] is not own
    assert FAMILIES == {"images": own} | FAMILIES
    assert {**ROWS, "c": 3} == MappingProxyType(ROWS) | Table("others", {"c": 3})


@pytest.mark.parametrize("join", [lambda: TABLE | 5, lambda: [] | TABLE])
def test_what_is_no_mapping_is_not_joined(join):
    """It is a TypeError, as for a dictionary."""
    with pytest.raises(TypeError, match="not a mapping"):
        join()


def test_a_table_never_changes():
    """Neither by what it offers, nor through what it was made of."""
    rows = dict(ROWS)
    table = Table("letters", rows)
    rows["c"] = 3
    with pytest.raises(TypeError):
        table["c"] = 3
    with pytest.raises(AttributeError):
        table.noun = "digits"
    assert ROWS == table


def test_a_table_crosses_processes():
    """It is pickled and copied by its rows."""
    for twin in (pickle.loads(pickle.dumps(FAMILIES)), copy.deepcopy(FAMILIES)):
        assert (FAMILIES, repr(FAMILIES)) == (twin, repr(twin))
