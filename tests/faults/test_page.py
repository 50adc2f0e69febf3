"""The page that lists what goes wrong: it names every fault, and nothing else."""

import re
from pathlib import Path

from modelslab_async.emulator.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"


def test_the_page_lists_every_fault():
    """The table of the page is the table of the code, word by word."""
    listed = PAGE.read_text("utf-8").partition("## Every fault by its name")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", listed, re.MULTILINE)
    assert dict(FAULTS) == dict(rows)
