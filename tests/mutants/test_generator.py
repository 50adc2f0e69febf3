"""The generator of mutants: what it changes, and how it names and samples the changes."""

import ast
from pathlib import Path

import pytest
from mutants.generator import (
    LAYERS,
    equivalent_mutants,
    mutants_in,
    mutants_of,
    package_folder,
    sample,
)


@pytest.fixture(scope="module")
def mutants():
    return mutants_in(package_folder(), LAYERS)


def changes_of(source: str) -> list[str]:
    return [mutant.source.strip() for mutant in mutants_of(source, "a.py")]


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a < b", ["(a <= b)", "(a >= b)"]),
        ("a == b", ["(a != b)"]),
        ("a is None", ["(a is not None)"]),
        ("a + b", ["(a - b)"]),
        ("a += b", ["a -= b"]),
        ("a and b", ["(a or b)"]),
        ("not a", ["(a)"]),
        ("a = True", ["a = False"]),
        ("a = 1", ["a = 2"]),
        ("a = 2.5", ["a = 5.0"]),
        ("a = 'word'", ["a = 'word_mutant'"]),
        ("a = 'A sentence, as in a message.'", []),
        ("a = min(b, c)", ["a = (max(b, c))"]),
        ("f(a)", ["pass"]),
        ("raise f(a)", ["pass"]),
        ("del a[b]", ["pass"]),
        ("a = b if c else d", ["a = b if (not c) else d"]),
        ("a = [b for b in c if b]", ["a = [b for b in c if (not b)]"]),
        ("match a:\n case 'b': c", ["match a:\n case 'b_mutant': c"]),
        ("def f():\n return a", ["def f():\n return None"]),
        ("async def f():\n await a()", ["async def f():\n pass"]),
        ("def f(a: 'int | None') -> 'str': ...", []),
        ("__all__ = ['a']", []),
        ("if TYPE_CHECKING:\n f(1)", []),
        ("a = f'{b + c}'", []),
        ("ä = 'ö ö'; b = 1", ["ä = 'ö ö'; b = 2"]),
    ],
)
def test_kind_of_change(source, changed):
    """Each kind of expression or statement has its changes, and nothing else changes."""
    assert changed == changes_of(source)


def test_name_says_place_and_change_and_counts_equal_ones():
    """A mutant's name has no line number, so it stays while other lines move."""
    source = "class A:\n    def f(self):\n        return g(1) or h(1)\n"
    names = [mutant.name for mutant in mutants_of(source, "_models/a.py")]
    assert "_models/a.py A.f: 1 => 2" in names
    assert "_models/a.py A.f: 1 => 2 (#2)" in names


def test_every_mutant_is_python_and_has_its_own_name(mutants):
    """All mutants of the four folders can be compiled, and no two have one name."""
    assert len(mutants) == len({mutant.name for mutant in mutants})
    for mutant in sample(mutants, 200, seed=0):
        ast.parse(mutant.source)


def test_sample_keeps_its_mutants_when_others_appear(mutants):
    """New code adds its mutants to the ranking, and moves no other one."""
    few, many = mutants[:500], mutants[:600]
    ranked = [mutant for mutant in sample(many, 600, seed=3) if mutant in few]
    assert ranked == sample(few, 500, seed=3)
    assert sample(few, 50, seed=3) != sample(few, 50, seed=4)


def test_equivalent_mutants_exist(mutants):
    """Each mutant that is left out with a reason is one that the generator makes."""
    assert set() == set(equivalent_mutants()) - {mutant.name for mutant in mutants}


def test_package_folder_is_found_without_importing_the_package():
    """The mutants are made from the package that the tests import."""
    assert Path(__import__("modelslab_async").__file__).parent == package_folder()
