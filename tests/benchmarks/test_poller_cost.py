"""What a look costs and a ticket weighs: the recorded run, its picture, and a short run."""

import json
from pathlib import Path

import pytest
from poller_cost_plot import drawn

pytestmark = pytest.mark.thorough

RECORD = Path(__file__).parents[2] / "docs" / "explanation"


@pytest.fixture(scope="module")
def recorded():
    return json.loads((RECORD / "poller_cost.json").read_text())


def test_the_picture_is_that_of_the_record(recorded):
    """Who records a new run draws it as well."""
    assert drawn(recorded) == (RECORD / "poller_cost.svg").read_text()


def test_the_record_goes_from_one_to_a_million(recorded):
    """Each size has its CPU, and each that is large enough for it has its weight."""
    sizes = [10**power for power in range(7)]
    assert sizes == [int(size) for size in recorded["figures"]]
    assert all(found["above"] > 0.0 for found in recorded["figures"].values())
    weighed = [int(size) for size, found in recorded["figures"].items() if found["bytes_each"]]
    assert sizes[3:] == weighed
    assert {"cores", "cpu", "python", "modelslab_async"} <= set(recorded["machine"])


def test_the_recorded_run_is_good_enough(recorded):
    """A million fit into 350 MB; a look costs 25 us at most, and hardly more than at a thousand."""
    thousand, million = recorded["figures"]["1000"], recorded["figures"]["1000000"]
    assert million["bytes_each"] <= 350.0
    assert max(thousand["above"], million["above"]) <= 25.0
    assert million["above"] <= 1.5 * thousand["above"]


def test_what_all_is_drawn_beside_is_asked_for(recorded):
    """Without the figures of a thousand open tickets there is a word on how to get them."""
    without = {size: found for size, found in recorded["figures"].items() if size != "1000"}
    with pytest.raises(SystemExit, match="1000: measure that with --open as well"):
        drawn({**recorded, "figures": without})


def test_a_short_run_measures_one_ticket_as_well(run_benchmark):
    """A ticket that is alone is looked at as often as it may, and has no weight of its own."""
    options = ("--open", "1", "1000", "20000", "--looks", "2000", "--rounds", "2")
    saved = run_benchmark("poller_cost.py", *options)
    one, many = saved["figures"]["1"], saved["figures"]["20000"]
    assert min(one["above"], many["above"]) > 0.0
    assert one["bytes_each"] is None
    # The fewer there are, the more of what the client itself takes falls to each.
    assert 0.0 < many["bytes_each"] <= 500.0
    assert "<svg" in drawn(saved)
