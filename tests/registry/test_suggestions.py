"""Which known names are suggested in place of an unknown name, and in what order."""

import pytest

from modelslab_async import ENDPOINTS, FAMILIES
from modelslab_async._registry.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "suggestions"),
    [
        ("realtime", ENDPOINTS, ["realtime/text2img", "realtime/img2img", "realtime/inpaint"]),
        ("realtime/i", ENDPOINTS, ["realtime/img2img", "realtime/inpaint"]),
        ("image", ENDPOINTS, ["images/text2img"]),
        ("enterprise_real", FAMILIES, ["enterprise_realtime"]),
        ("real", ENDPOINTS, ["realtime/text2img"]),
        ("txt2img", ENDPOINTS, ["images/text2img"]),
        ("", ENDPOINTS, []),
    ],
)
def test_names_that_begin_as_typed_come_first(name, known, suggestions):
    """Among those, text2img is first. The others follow by their similarity."""
    question = did_you_mean(name, known)
    expected = f"did you mean {' or '.join(map(repr, suggestions))}" if suggestions else ""
    assert question.startswith(expected)
    assert bool(suggestions) == bool(question)
