"""The CPU of a poll and the memory of a ticket: the recorded run, its picture, and a short run."""

import json
from pathlib import Path

import pytest
from poller_cost_plot import drawn

pytestmark = pytest.mark.thorough

RECORD = Path(__file__).parents[2] / "docs" / "explanation"


@pytest.fixture(scope="module")
def recorded():
    return json.loads((RECORD / "poller_cost.json").read_text())


def test_picture_is_drawn_from_the_record(recorded):
    """A new record needs a new picture."""
    assert drawn(recorded) == (RECORD / "poller_cost.svg").read_text()


def test_record_goes_from_one_to_a_million_tickets(recorded):
    """Each count has its CPU, and each large count has its memory."""
    sizes = [10**power for power in range(7)]
    assert sizes == [int(size) for size in recorded["figures"]]
    assert all(found["above"] > 0.0 for found in recorded["figures"].values())
    weighed = [int(size) for size, found in recorded["figures"].items() if found["bytes_each"]]
    assert sizes[3:] == weighed
    assert {"cores", "cpu", "python", "modelslab_async"} <= set(recorded["machine"])


def test_recorded_run_keeps_the_limits(recorded):
    """A million tickets fit into 350 MB, and a poll of one costs at most 25 us."""
    thousand, million = recorded["figures"]["1000"], recorded["figures"]["1000000"]
    assert million["bytes_each"] <= 350.0
    assert max(thousand["above"], million["above"]) <= 25.0
    assert million["above"] <= 1.5 * thousand["above"]


def test_plot_without_the_reference_count_is_an_error(recorded):
    """The error says how to measure a thousand open tickets."""
    without = {size: found for size, found in recorded["figures"].items() if size != "1000"}
    with pytest.raises(SystemExit, match="1000 tickets: measure that with --open too"):
        drawn({**recorded, "figures": without})


def test_short_run_measures_a_single_ticket(run_benchmark):
    """A single ticket is polled as often as allowed, and its memory is not measured."""
    options = ("--open", "1", "1000", "20000", "--polls", "2000", "--rounds", "2")
    saved = run_benchmark("poller_cost.py", *options)
    one, many = saved["figures"]["1"], saved["figures"]["20000"]
    assert min(one["above"], many["above"]) > 0.0
    assert one["bytes_each"] is None
    # With few tickets, the client's own memory counts for more of each ticket.
    assert 0.0 < many["bytes_each"] <= 500.0
    assert "<svg" in drawn(saved)
