"""The record of a run, the page that is made from it, and a short run. Only ratios are checked."""

from statistics import median

import pytest
from performance_page import EXPLANATION, records, remade
from performance_plot import layers_picture, rates_picture


@pytest.fixture(scope="module")
def recorded():
    return records()[0]


@pytest.fixture(scope="module")
def recorded_earlier():
    return records()[1]


def test_page_is_made_from_the_records(recorded, recorded_earlier):
    """A new record needs a new page."""
    page = (EXPLANATION / "performance.md").read_text()
    assert page == remade(page, recorded, recorded_earlier)


def test_records_are_of_two_days(recorded, recorded_earlier):
    """The page shows how far runs on two days agree, so one must not be a copy of the other."""
    assert recorded["date"] > recorded_earlier["date"]
    assert recorded["rates"]["cases"] != recorded_earlier["rates"]["cases"]


def test_pictures_are_drawn_from_the_record(recorded):
    """A new record needs new pictures."""
    assert rates_picture(recorded) == (EXPLANATION / "performance_rates.svg").read_text()
    assert layers_picture(recorded) == (EXPLANATION / "performance_layers.svg").read_text()


def _with_fast_stream(record):
    cases = [
        case | {"rate": [2.0 * rate for rate in case["rate"]]}
        if case["client"] == "stream"
        else case
        for case in record["rates"]["cases"]
    ]
    return {**record, "rates": {**record["rates"], "cases": cases}}


def test_changed_record_changes_the_page(recorded, recorded_earlier):
    """The page shows the figures of `stream` in both records."""
    page = (EXPLANATION / "performance.md").read_text()
    assert page != remade(page, _with_fast_stream(recorded), recorded_earlier)
    assert page != remade(page, recorded, _with_fast_stream(recorded_earlier))


def test_page_without_a_part_is_an_error(recorded, recorded_earlier):
    """The error says which part is missing."""
    with pytest.raises(SystemExit, match="no part between '<!-- run"):
        remade("# Performance", recorded, recorded_earlier)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_poll_needs_less_cpu_than_with_a_bare_client(run_benchmark):
    """With h11 a poll needs at most half the CPU of httpx, with httptools less than aiohttp."""
    record = run_benchmark(
        "record.py",
        *("--parts", "rates", "--rounds", "3"),
        *("--clients", "httpx", "aiohttp", "fetch", "fetch, h11"),
    )
    cpu = {case["client"]: median(case["cpu"]) for case in record["rates"]["cases"]}
    assert cpu["fetch, h11"] < cpu["httpx"] / 2
    assert cpu["fetch"] < cpu["aiohttp"]
    assert cpu["fetch"] < cpu["fetch, h11"]
