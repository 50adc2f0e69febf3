"""`families`: the registry in three forms."""

import csv
import json

from modelslab_async import FAMILIES


def test_pipe_gets_tab_separated_families(program):
    """A pipe gets a header and a tab-separated line for every family."""
    rows = list(csv.DictReader(program("families").stdout.splitlines(), delimiter="\t"))
    assert list(FAMILIES) == [row["name"] for row in rows]
    row = rows[0]
    assert ("images", "POST", "{base}/v6/images/fetch") == (row["name"], row["method"], row["url"])
    assert ("body field request_id", "body", "standard") == (
        row["id_in"],
        row["key_in"],
        row["key"],
    )
    assert ("generation", "image") == (row["status"], row["output"])


def test_json_prints_families_with_lists(program):
    """`--json` prints the same rows as JSON, with outputs as lists."""
    run = program("families", "--json", "workflows", "training")
    workflows, training = map(json.loads, run.stdout.splitlines())
    assert ("workflows", "header", "workflow") == tuple(
        workflows[name] for name in ("name", "key_in", "status")
    )
    assert ["image", "video"] == workflows["output"]
    assert [] == training["output"]


def test_terminal_gets_table_of_families(program):
    """The table has every family and every fact about it."""
    code, shown = program.on_terminal("families")
    assert 0 == code
    assert "\t" not in shown
    for family in FAMILIES.values():
        assert family.name in shown
        assert f"{family.method} {family.url}" in shown
        assert family.doc in shown
        assert family.note in shown
    assert "id in body field request_id, standard key in body, status read as generation" in shown


def test_unknown_family_is_refused_with_suggestion(program):
    """An unknown name is a usage error with similar names."""
    run = program("families", "vidio")
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert "did you mean 'video'" in run.stderr


def test_families_needs_no_key(program):
    """The registry can be listed without a key."""
    assert 0 == program("families", MODELSLAB_API_KEY=None).returncode
