"""The short form of the benchmark: no figure of it is an absolute one, and its margins are wide."""

import pytest

pytestmark = pytest.mark.thorough


@pytest.mark.timeout(300)
def test_a_look_costs_less_than_with_a_bare_client(saved_by):
    """CPU a poll: with h11 at most half of httpx's, with httptools less than aiohttp's."""
    for name in ("aiohttp", "httptools", "uvicorn"):
        pytest.importorskip(name, reason="the short form compares with it or answers with it")
    record = saved_by(
        "rivals.py",
        *("--ways", "httpx", "aiohttp", "Client", "Client, h11"),
        *("--connections", "16", "--rounds", "3", "--looks", "500"),
    )
    cpu = {way: figures["cpu"] for way, figures in record["figures"].items()}
    assert cpu["Client, h11"] < cpu["httpx"] / 2
    assert cpu["Client"] < cpu["aiohttp"]
    assert cpu["Client"] < cpu["Client, h11"]
