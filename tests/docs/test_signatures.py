"""The reference shows the defaults of classes as their values."""

import inspect
import sys
from pathlib import Path

import pytest

from modelslab_async import Pace, Success

pytest.importorskip("sphinx", reason="the docs group is not installed")
sys.path.append(str(Path(__file__).parents[2] / "docs/_ext"))
from from_code import _show_attrs_defaults


@pytest.mark.parametrize(
    ("documented", "expected"),
    [(Pace, "floor: float = 2.5"), (Success, "output: tuple[str, ...] = ()")],
)
def test_signature_shows_default_values(monkeypatch, documented, expected):
    """A plain default and that of a factory are values, not names of the generated source."""
    function = documented.__init__
    # The hook sets the signature, which other tests must not see.
    monkeypatch.setattr(function, "__signature__", inspect.signature(function), raising=False)
    _show_attrs_defaults(None, function, False)  # noqa: FBT003
    assert expected in str(inspect.signature(function))


def test_other_signatures_stay_as_they_are():
    """A function that attrs did not make is left alone."""

    def plain(*, floor: float = 2.5) -> float:
        return floor

    _show_attrs_defaults(None, plain, False)  # noqa: FBT003
    assert not hasattr(plain, "__signature__")
