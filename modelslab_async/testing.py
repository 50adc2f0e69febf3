"""
The pytest plugin: an emulator, a client and a virtual clock, all on this machine.

pytest loads the plugin wherever this package is installed. While the plugin is loaded, the package
refuses all requests to other machines, unless the test or the project allows them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ._transport.testing_guard import OUTBOUND_GUARD

if TYPE_CHECKING:
    from ._client import Client
    from ._transport.transport_protocol import Request, Response
    from .emulator import Emulator

_T = TypeVar("_T")

NETWORK_MARK = "modelslab_network"
_REFUSAL = (
    "take the fixture modelslab_client or modelslab_url, pass http=httpx.MockTransport(...), or "
    f"allow it with @pytest.mark.{NETWORK_MARK} or the ini option {NETWORK_MARK}"
)
_API_KEY = "a-key-for-tests"
_QUICK_JOB_S = (0.01, 0.05)
_QUICK_FLOOR_S = 0.02
# A virtual clock waits this many real seconds for threads and sockets, before it jumps to the next
# timer.
_JUMP_DELAY_S = 0.001
# If no timer is set, a virtual clock waits this many real seconds for threads and sockets. After
# this wait, the event loop raises an error.
_LAST_DELAY_S = 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option that allows requests to other machines in every test."""
    parser.addini(
        NETWORK_MARK,
        "let modelslab_async send requests to other machines in every test",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse requests to other machines, unless the ini option or a test's mark allows them."""
    config.addinivalue_line(
        "markers", f"{NETWORK_MARK}: let modelslab_async send requests to other machines"
    )
    stack = ExitStack()
    stack.enter_context(_guarding("" if config.getini(NETWORK_MARK) else _REFUSAL))
    config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Allow requests to other machines during each marked test and its fixtures."""
    if item.get_closest_marker(NETWORK_MARK) is None:
        return (yield)
    with _guarding(""):
        return (yield)


@contextmanager
def _guarding(refusal: str) -> Generator[None, None, None]:
    before, OUTBOUND_GUARD.refusal = OUTBOUND_GUARD.refusal, refusal
    try:
        yield
    finally:
        OUTBOUND_GUARD.refusal = before


class VirtualClock:
    """
    A clock for event loops. Waiting on this clock takes no real time.

    When every task of the event loop waits, the clock jumps to the next timer. Before each jump,
    sockets and threads have only one real millisecond to answer. So use neither sockets nor threads
    in a test with this clock.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the time forward. The event loop then runs the timers that have become due."""
        self._now += seconds

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Make an event loop on this clock, for `asyncio.Runner` or a plugin's `loop_factory`."""
        return _VirtualLoop(self)

    def run(self, main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """
        Run an async function on this clock.

        Raises:
            RuntimeError: Every task waits, and no timer is set that could wake a task.
        """
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(main())


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        super().__init__(_JumpingSelector(clock))

    def time(self) -> float:
        return self._clock.time()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002
        # Ignore the timeout: on the virtual clock, it would expire before the threads end.
        await super().shutdown_default_executor()


class _JumpingSelector(selectors.DefaultSelector):
    """Advances the virtual clock to the next timer instead of sleeping until the timer is due."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = super().select(_LAST_DELAY_S if timeout is None else _JUMP_DELAY_S)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        self._clock.advance(timeout)
        return ready


@pytest.fixture
def modelslab_clock() -> VirtualClock:
    """A virtual clock. `modelslab_clock.run(main)` runs an async function without real waiting."""
    return VirtualClock()


@pytest.fixture
def modelslab_emulator(request: pytest.FixtureRequest) -> "Emulator":
    """
    An emulator of the service.

    Its jobs take a few hundredths of a second. If the test uses `modelslab_clock`, they take 2 to 6
    seconds on the virtual clock.
    """
    # Import the emulator only for tests that use it, because it needs optional packages.
    from .emulator import Emulator, Jobs  # noqa: PLC0415

    if clock := _virtual_clock(request):
        return Emulator(clock=clock.time)
    return Emulator(jobs=Jobs(duration=_QUICK_JOB_S))


@pytest.fixture
def modelslab_client(
    request: pytest.FixtureRequest, modelslab_emulator: "Emulator"
) -> "Generator[Client, None, None]":
    """
    A client of `modelslab_emulator`, in the same process.

    It polls every few hundredths of a second. If the test uses `modelslab_clock`, it polls at the
    default pace.
    """
    # Import the client only for tests that use it, because pytest loads this plugin at every start.
    from ._client import Client  # noqa: PLC0415
    from ._scheduling.pace import Pace  # noqa: PLC0415

    transport = _EmulatorTransport(modelslab_emulator)
    pace = Pace() if _virtual_clock(request) else Pace(floor=_QUICK_FLOOR_S)
    client = Client(_API_KEY, http=transport, pace=pace)
    yield client
    # Close the client only if its event loop is open. If the loop is closed, the client's tasks
    # have already ended.
    if transport.loop is not None and not transport.loop.is_closed():
        transport.loop.run_until_complete(client.aclose())


@pytest.fixture
def modelslab_url(
    modelslab_emulator: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> Generator[str, None, None]:
    """
    The base URL of `modelslab_emulator`, which listens on a free port of this machine.

    Environment variables hold this URL and an API key, so `Client()` without arguments uses the
    emulator.
    """
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 -- see `modelslab_client`.

    from .emulator import run_server  # noqa: PLC0415 -- see `modelslab_emulator`.

    # The server runs in its own thread, so tests with and without an event loop can use it.
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(run_server(modelslab_emulator)) as base_url,
    ):
        monkeypatch.setenv("MODELSLAB_API_KEY", _API_KEY)
        monkeypatch.setenv("MODELSLAB_BASE_URL", base_url)
        monkeypatch.setenv("MODELSLAB_LEGACY_BASE_URL", base_url)
        yield base_url


def _virtual_clock(request: pytest.FixtureRequest) -> VirtualClock | None:
    if "modelslab_clock" not in request.fixturenames:
        return None
    clock: VirtualClock = request.getfixturevalue("modelslab_clock")
    return clock


class _EmulatorTransport:
    """Passes requests to an emulator, and records the event loop on which the client runs."""

    def __init__(self, emulator: "Emulator") -> None:
        import httpx  # noqa: PLC0415 -- see `modelslab_client`.

        from ._transport.httpx_adapter import HttpxTransportAdapter  # noqa: PLC0415

        self._adapter = HttpxTransportAdapter(httpx.ASGITransport(app=emulator))
        self.loop: asyncio.AbstractEventLoop | None = None

    async def exchange(self, request: "Request") -> "Response":
        """Pass one request to the emulator, and return the response."""
        self.loop = asyncio.get_running_loop()
        return await self._adapter.exchange(request)
