"""A short run of the benchmark. How long a webhook takes is not checked, but each ends a wait."""

import pytest
from postgres_server import HOW_TO_INSTALL, find_programs

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@pytest.mark.parametrize("store", ["postgres", "sqlite"])
def test_each_webhook_ends_a_wait(run_benchmark, store):
    """Without its webhook, a wait would take a day."""
    if store == "postgres" and find_programs() is None:
        pytest.skip(HOW_TO_INSTALL)
    record = run_benchmark("webhook_hints.py", "--webhooks", "5", "--store", store)
    assert 5 == len(record["ms"])
