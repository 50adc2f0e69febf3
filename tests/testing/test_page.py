"""The page on testing: its tests pass as a reader would run them, and send nothing."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks_before(heading: str) -> str:
    """The code of the page before a heading, as one module."""
    beginning, _, _ = PAGE.read_text().partition(f"\n## {heading}\n")
    return "\n".join(_BLOCK.findall(beginning))


def run_page(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    pytester.makeini(INI)
    pytester.makepyfile(blocks_before("Use the emulator as the service"))
    return pytester.runpytest_inprocess(
        "-p", "modelslab_async.testing", "-p", "no:cacheprovider", "-Werror", *arguments
    )


def test_tests_of_the_page_pass(pytester, unasked_server):
    """Each fixture and each way to mock does what the page says."""
    run_page(pytester).assert_outcomes(passed=6)
    assert unasked_server.is_unasked


@pytest.mark.parametrize("way", ["with_respx", "with_pytest_httpx"])
def test_mock_of_the_page_is_refused_without_its_http_argument(pytester, unasked_server, way):
    """What the page warns of is noticed, and nothing is sent."""
    pytester.makeini(INI)
    source = blocks_before("Use the emulator as the service")
    pytester.makepyfile(source.replace(", http=httpx.AsyncClient()", ""))
    # The plugin is not loaded: the guard of the default transport is enough.
    result = pytester.runpytest_inprocess(
        "-p", "no:modelslab_async.testing", "-p", "no:cacheprovider", "-k", way
    )
    result.stdout.fnmatch_lines(["*RequestBlocked*is active but cannot see this request*"])
    assert result.parseoutcomes()["failed"] == 1
    assert unasked_server.is_unasked
