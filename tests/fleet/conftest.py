"""The options of `nox -s fleet`."""

import sys
from pathlib import Path

import pytest

# Modules of this folder import each other by their names.
sys.path.append(str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how many faults there are, and which."""
    parser.addoption("--rounds", type=int, default=100, help="cuts, or stops, of each test")
    parser.addoption("--seed", type=int, default=0, help="the seed of the faults")
    parser.addoption("--submits", type=int, default=5, help="submits between two kills of a store")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--rounds")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--seed")


@pytest.fixture
def submits(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--submits")
