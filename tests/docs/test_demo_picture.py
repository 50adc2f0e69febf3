"""The picture of the demo on the first pages shows what the demo prints now."""

import html
import re
from pathlib import Path

import pytest

from modelslab_async import Failed, Pace, Ticket
from modelslab_async._cli.demo.demo_command import NEXT_COMMANDS
from modelslab_async._cli.demo.planned_jobs import PlannedJob
from modelslab_async._cli.demo.polling_loop_costs import compare_loops
from modelslab_async._cli.demo.statistics import DemoStatistics

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "_static" / "demo.svg"
REMAKE = "renew it with `python docs/demo_picture.py`"


@pytest.fixture(scope="module")
def shown():
    """The lines that the picture shows."""
    lines = re.findall(r"<text[^>]*>([^<]*)</text>", PICTURE.read_text(encoding="utf-8"))
    return html.unescape(" ".join(lines)).replace("\xa0", " ")


def without_numbers(text):
    return re.sub(r"[\d.,%]+", "#", " ".join(text.split()))


def test_picture_shows_the_rows_that_the_demo_prints(shown):
    """All rows have the names and the words of today; only numbers and tickets may differ."""
    job = PlannedJob(ticket="images:1", duration=3.0, fails=True)
    stats = DemoStatistics(polls=4)
    stats.expect([job])
    stats.count_outcome(Failed(ticket=Ticket("images", 1), message="no"), 3.5)
    stats.seconds = 4.0
    rows = [*stats.summary(1, Pace(floor=1.0)), *compare_loops([job])]
    words = without_numbers(shown)
    for name, text in rows:
        row = f"{name} {text.partition(' such as')[0]}"
        assert without_numbers(row) in words, REMAKE


def test_picture_shows_the_next_commands(shown):
    """A reader of the picture can copy the commands that the demo suggests."""
    for command in NEXT_COMMANDS:
        assert command in shown, REMAKE


@pytest.mark.parametrize(
    ("page", "link"),
    [("README.md", "docs/_static/demo.svg"), ("docs/index.md", "_static/demo.svg")],
)
def test_first_pages_begin_with_the_picture(page, link):
    """It comes before the first program in Python."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert 0 < text.index(f"]({link})") < text.index("```python")
