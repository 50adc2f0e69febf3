"""Serves the emulator on a socket, in the running event loop. It installs no signal handlers."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from .application import Emulator
from .setting_validators import check_port

_SHUTDOWN_TIMEOUT_S = 1
# The server closes connections that are idle for this many seconds, as nginx does by default.
# With uvicorn's default of 5 s, a client that pauses for 5 s could send a request on a connection
# that is being closed.
_KEEP_ALIVE_TIMEOUT_S = 75


class _UvicornServer(uvicorn.Server):
    """A uvicorn server without signal handlers. It sets `startup_done` once it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.startup_done = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.startup_done.set()


@asynccontextmanager
async def run_server(
    emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str, None]:
    """
    Serve an emulator while the block runs, and yield the base URL of its API.

    Args:
        emulator: The emulator.
        host: The address to listen on.
        port: The port, or 0 for any free port.

    Raises:
        OSError: The address is in use, or does not belong to this machine.
        TypeError: The port is not a whole number.
        ValueError: The port is out of its range.

    Example:
        async with run_server(Emulator()) as base_url:
            ...  # base_url is something like http://127.0.0.1:50123/api
    """
    check_port(port)
    async with emulator.deliver_webhooks(), _run_uvicorn(emulator, host, port) as base_url:
        yield base_url


@asynccontextmanager
async def _run_uvicorn(emulator: Emulator, host: str, port: int) -> AsyncGenerator[str, None]:
    config = uvicorn.Config(
        emulator,
        access_log=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S,
        timeout_keep_alive=_KEEP_ALIVE_TIMEOUT_S,
        ws="none",
    )
    server = _UvicornServer(config)
    with socket.create_server((host, port), backlog=2048) as listener:
        # Without TCP_NODELAY, each reply waits 40 ms for the client's delayed acknowledgement.
        # asyncio sets this option only on sockets with the protocol number `IPPROTO_TCP`. The
        # protocol number of this socket is 0.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="emulator")
        startup_done = asyncio.create_task(server.startup_done.wait())
        try:
            first, _ = await asyncio.wait(
                {serving, startup_done}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in first:
                task.result()
            yield f"http://{host}:{listener.getsockname()[1]}/api"
        finally:
            startup_done.cancel()
            server.should_exit = True
            await serving


async def serve(
    emulator: Emulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], object] | None = None,
) -> None:
    """
    Serve an emulator until the task is cancelled.

    Args:
        emulator: The emulator.
        host: The address to listen on.
        port: The port, or 0 for any free port.
        ready: Called with the base URL once the server accepts requests.

    Raises:
        OSError: The address is in use, or does not belong to this machine.
        TypeError: The port is not a whole number.
        ValueError: The port is out of its range.
    """
    async with run_server(emulator, host=host, port=port) as base_url:
        if ready is not None:
            ready(base_url)
        await asyncio.Event().wait()
