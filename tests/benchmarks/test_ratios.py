"""A short run of the client comparison. Only ratios are checked, with wide margins."""

import pytest

pytestmark = pytest.mark.thorough


@pytest.mark.timeout(300)
def test_poll_needs_less_cpu_than_with_a_bare_client(run_benchmark):
    """With h11 a poll needs at most half the CPU of httpx, with httptools less than aiohttp."""
    record = run_benchmark(
        "rivals.py",
        *("--clients", "httpx", "aiohttp", "Client", "Client, h11"),
        *("--connections", "16", "--rounds", "3", "--polls", "500"),
    )
    cpu = {name: figures["cpu"] for name, figures in record["figures"].items()}
    assert cpu["Client, h11"] < cpu["httpx"] / 2
    assert cpu["Client"] < cpu["aiohttp"]
    assert cpu["Client"] < cpu["Client, h11"]
