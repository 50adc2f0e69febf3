"""The comparison with rivals: the recorded runs, the page that is made of them, a short run."""

import json
from pathlib import Path

import pytest
from rivals import WAYS
from rivals_table import renewed

pytestmark = pytest.mark.alone

PAGES = Path(__file__).parents[2] / "docs" / "explanation"


@pytest.fixture(scope="module")
def recorded():
    return json.loads((PAGES / "rivals.json").read_text())


def test_the_page_says_what_was_recorded(recorded):
    """Who records a new run renews the page as well."""
    page = (PAGES / "performance.md").read_text()
    assert renewed(page, recorded) == page


def test_the_recorded_runs_are_whole_and_good_enough(recorded):
    """All ways are in them, and ours do what they are there for."""
    for connections in ("64", "1000"):
        run = recorded[connections]
        assert set(WAYS) == set(run["figures"])
        assert {"cores", "cpu", "python", "modelslab_async"} <= set(run["machine"])
        assert run["ratios"]["Client"]["httpx"] >= (4 if connections == "64" else 8)
        assert run["ratios"]["Client, fast"]["aiohttp"] >= 1.3
    assert recorded["64"]["ratios"]["Client, fast"]["modelslab-py"] >= 1.5


@pytest.mark.timeout(300)
def test_a_look_costs_less_than_with_a_bare_client(saved_by):
    """By the CPU a look: a quarter of httpx's at most by default, less than aiohttp's if fast."""
    for name in ("aiohttp", "httptools", "uvicorn"):
        pytest.importorskip(name, reason="the short form compares with it or answers with it")
    record = saved_by(
        "rivals.py",
        *("--ways", "httpx", "aiohttp", "Client", "Client, fast"),
        *("--connections", "16", "--rounds", "3", "--looks", "500"),
    )
    cpu = {way: figures["cpu"] for way, figures in record["16"]["figures"].items()}
    assert cpu["Client"] < cpu["httpx"] / 4
    assert cpu["Client, fast"] < cpu["aiohttp"]
    assert cpu["Client, fast"] < cpu["Client"]
