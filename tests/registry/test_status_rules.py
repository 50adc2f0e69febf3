"""Every table that has a row for each status rule has all of them."""

import re
from pathlib import Path
from typing import get_args

import pytest

from modelslab_async import FAMILIES, Family
from modelslab_async._parsing import status
from modelslab_async._registry.family import StatusRule
from modelslab_async.emulator import planned_webhooks, reply_bodies

RULES = get_args(StatusRule)
PAGE = Path(__file__).parents[2] / "docs/reference/families.md"


def documented_rules():
    section = PAGE.read_text().partition("## How a status is read")[2]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    "table",
    [
        status._READERS,
        reply_bodies._BY_RULE,
        reply_bodies._UNKNOWN_ID,
        planned_webhooks._BY_RULE,
        documented_rules(),
    ],
    ids=["read", "emulated reply", "emulated unknown id", "emulated webhooks", "documented"],
)
def test_table_has_every_status_rule(table):
    """The client, the emulator and the page know the same rules."""
    assert sorted(RULES) == sorted(table)


def test_family_takes_every_status_rule_and_no_other():
    """A family may have each rule, and a word that is none is an error."""
    for rule in RULES:
        assert rule == Family(name="a", url="{base}/a/{id}", status=rule).status
    with pytest.raises(ValueError, match="status"):
        Family(name="a", url="{base}/a/{id}", status="other")


def test_every_status_rule_is_that_of_a_family():
    """There is no rule that no family needs."""
    assert set(RULES) == {family.status for family in FAMILIES.values()}
