"""The pytest plugin as other projects use it: each test here runs a small suite of one of them."""

import asyncio
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from import_time import modules_after

import modelslab_async.testing
from modelslab_async._transport.testing_guard import OUTBOUND_GUARD

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
HEADER = """
import asyncio
import pytest
from modelslab_async import Client, RequestBlocked, Success
"""
FETCH = """
async def fetch():
    async with Client("a-key") as client:
        await client.fetch("images:1")
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Run the tests in a text with the plugin, and return the result."""

    def run_tests(source, *arguments, ini=""):
        pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{ini}")
        pytester.makepyfile(HEADER + FETCH + source)
        plugin = ("-p", "modelslab_async.testing", "-p", "no:cacheprovider")
        return pytester.runpytest_inprocess(*plugin, "-Werror", *arguments)

    return run_tests


@pytest.fixture
def no_name_resolves(monkeypatch):
    """What tests may send to another machine ends here: no name has an address."""

    def getaddrinfo(*_args, **_kwargs):
        raise OSError("no name has an address")

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)


def test_entry_point_names_the_plugin():
    """Pytest loads the plugin wherever the package is installed."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    [(name, value)] = project["entry-points"]["pytest11"].items()
    assert EntryPoint(name, value, "pytest11").load() is modelslab_async.testing
    assert name == modelslab_async.testing.__name__


def test_plugin_that_is_asked_for_twice_is_loaded_once(run):
    """A project may name the plugin, although pytest has loaded it already."""
    source = "def test_clock(modelslab_clock): assert 0 == modelslab_clock.time()"
    run(source, "-p", "modelslab_async.testing").assert_outcomes(passed=1)


def test_loading_the_plugin_is_cheap():
    """A suite that never uses the package does not import what sends, nor the values."""
    before = modules_after("import pytest, asyncio")
    loaded = modules_after("import pytest, asyncio, modelslab_async.testing") - before
    assert set() == loaded & {"anyio", "attrs", "httpx", "modelslab_async._client"}


@pytest.mark.usefixtures("no_name_resolves")
def test_request_to_another_machine_is_refused(run):
    """The guard is on by itself, and the error says each way to go on."""
    result = run("def test_fetch(): asyncio.run(fetch())")
    result.assert_outcomes(failed=1)
    text = result.stdout.str().replace("\n", " ")
    for way in ("modelslab_client", "modelslab_url", "MockTransport", "modelslab_network"):
        assert way in text
    assert "RequestBlocked" in text


NETWORK = """
from modelslab_async import TransportError

@pytest.fixture
def fetched():
    with pytest.raises(TransportError, match="no name has an address"):
        asyncio.run(fetch())

@pytest.mark.modelslab_network
def test_with_mark(fetched):
    with pytest.raises(TransportError, match="no name has an address"):
        asyncio.run(fetch())
"""


@pytest.mark.usefixtures("no_name_resolves")
def test_mark_allows_requests_of_a_test_and_its_fixtures(run):
    """The next test without the mark is refused again."""
    source = """
def test_without_mark():
    with pytest.raises(RequestBlocked):
        asyncio.run(fetch())
"""
    run(NETWORK + source, "--strict-markers").assert_outcomes(passed=2)


@pytest.mark.usefixtures("no_name_resolves")
def test_ini_option_allows_requests_of_every_test(run):
    """A project whose tests use the real service says so once."""
    source = "def test_without_mark(fetched): pass"
    result = run(NETWORK + source, "--strict-config", ini="modelslab_network = true")
    result.assert_outcomes(passed=2)


def test_guard_is_as_before_after_a_run(run):
    """A run of pytest inside of another one leaves the guard as it was."""
    before = OUTBOUND_GUARD.refusal
    run("def test_nothing(): pass", ini="modelslab_network = true").assert_outcomes(passed=1)
    assert before == OUTBOUND_GUARD.refusal


USE = """
async def use(client, emulator):
    reply = await client.submit("realtime/text2img", prompt="a lighthouse")
    assert isinstance(await client.wait(reply.ticket), Success)
    assert 1 == len(emulator.submits)
"""
WITHOUT_PLUGIN = """
def test_emulated(modelslab_client, modelslab_emulator):
    asyncio.run(use(modelslab_client, modelslab_emulator))
"""
PYTEST_ASYNCIO = """
@pytest.mark.asyncio
async def test_emulated(modelslab_client, modelslab_emulator):
    await use(modelslab_client, modelslab_emulator)
"""
SHARED_LOOP = """
@pytest.mark.asyncio(loop_scope="session")
async def test_emulated(modelslab_client, modelslab_emulator):
    await use(modelslab_client, modelslab_emulator)

@pytest.mark.asyncio(loop_scope="session")
async def test_client_of_last_test_is_closed():
    assert asyncio.all_tasks() == {asyncio.current_task()}
"""
ANYIO = """
@pytest.mark.anyio
async def test_emulated(modelslab_client, modelslab_emulator):
    await use(modelslab_client, modelslab_emulator)

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
CLOSED_BY_TEST = """
@pytest.mark.asyncio
async def test_emulated(modelslab_client, modelslab_emulator):
    async with modelslab_client:
        await use(modelslab_client, modelslab_emulator)
"""
UNUSED = """
def test_unused(modelslab_client): pass
"""
OPEN_WAIT = """
@pytest.mark.asyncio
async def test_open(modelslab_client, modelslab_emulator):
    modelslab_emulator.add_job("images:1", duration=3600)
    waiting = asyncio.ensure_future(modelslab_client.wait("images:1"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
"""


@pytest.mark.parametrize(
    ("source", "passed"),
    [
        (WITHOUT_PLUGIN, 1),
        (PYTEST_ASYNCIO, 1),
        (SHARED_LOOP, 2),
        (ANYIO, 1),
        (CLOSED_BY_TEST, 1),
        (UNUSED, 1),
        (OPEN_WAIT, 1),
    ],
    ids=["no plugin", "asyncio", "shared loop", "anyio", "closed by test", "unused", "open wait"],
)
def test_client_of_an_emulator_in_process(run, source, passed):
    """The fixture works with each async plugin and with none. It leaves no task and no warning."""
    run(USE + source).assert_outcomes(passed=passed)


URL = """
async def use_socket(emulator):
    async with Client() as client:
        assert isinstance(await client.generate("realtime/text2img", prompt="x"), Success)
    assert 1 == len(emulator.submits)

def test_without_loop(modelslab_url, modelslab_emulator):
    assert modelslab_url.startswith("http://127.0.0.1:")
    asyncio.run(use_socket(modelslab_emulator))

@pytest.mark.asyncio
async def test_with_loop(modelslab_url, modelslab_emulator):
    await use_socket(modelslab_emulator)
"""


def test_plain_client_uses_the_emulator_on_a_socket(run):
    """The environment of a test with `modelslab_url` names the emulator, and is then restored."""
    run(URL).assert_outcomes(passed=2)


CLOCK = """
from modelslab_async import WaitTimeout

def test_an_hour(modelslab_clock, modelslab_client, modelslab_emulator):
    modelslab_emulator.add_job("video:1", duration=3600)

    async def main():
        return await modelslab_client.wait("video:1")

    assert isinstance(modelslab_clock.run(main), Success)
    assert 3600 <= modelslab_clock.time() < 3800

def test_a_timeout(modelslab_clock, modelslab_client, modelslab_emulator):
    modelslab_emulator.add_job("video:1", duration=3600)

    async def main():
        with pytest.raises(WaitTimeout):
            await modelslab_client.wait("video:1", timeout=600)

    modelslab_clock.run(main)
    assert 600 == pytest.approx(modelslab_clock.time())

def test_time_moves_by_hand(modelslab_clock):
    async def main():
        sleeping = asyncio.ensure_future(asyncio.sleep(100))
        await asyncio.sleep(0)
        modelslab_clock.advance(100)
        await sleeping

    modelslab_clock.run(main)
    assert 100 == modelslab_clock.time()

def test_a_thread_has_time_to_end(modelslab_clock):
    async def main():
        return await asyncio.to_thread(lambda: "done")

    assert "done" == modelslab_clock.run(main)

@pytest.fixture
def anyio_backend(modelslab_clock):
    return "asyncio", {"loop_factory": modelslab_clock.new_loop}

@pytest.mark.anyio
async def test_anyio(modelslab_clock, modelslab_client, modelslab_emulator):
    modelslab_emulator.add_job("video:1", duration=3600)
    await modelslab_client.wait("video:1")
    assert 3600 <= modelslab_clock.time()
"""


def test_virtual_clock_takes_no_real_time(run):
    """An hour of waiting is over at once, at the default pace."""
    result = run(CLOCK, "--timeout", "60")
    result.assert_outcomes(passed=5)


def test_virtual_clock_ends_a_program_that_waits_for_nothing(monkeypatch):
    """It raises where a real event loop would hang."""
    monkeypatch.setattr(modelslab_async.testing, "_LAST_DELAY_S", 0.01)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="every task waits for something that will never happen"):
        modelslab_async.testing.VirtualClock().run(main)
