"""The web app of the documentation as its reader serves it: uvicorn with some workers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

PATIENCE = 300.0
SECRET = "a-secret-for-the-tests"
# Written beside the app: its answers and a file say which worker served which request.
_WITH_WORKERS = """
import os
from app import app as page_app

PID = str(os.getpid())

async def app(scope, receive, send):
    async def send_with_pid(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-worker", PID.encode())]
        await send(message)

    if scope["type"] == "http":
        with open("requests.log", "a") as log:
            log.write(f"{PID} {scope['method']} {scope['path']}\\n")
    await page_app(scope, receive, send_with_pid)
"""


class WebApp:
    """
    `uvicorn app:app --workers 4` in a folder, on one address for its whole life.

    Args:
        folder: Where the app runs.
        program: The source of the app.
        base_url: The address of the service.
        key: The key of the service.
        workers: The number of worker processes.
        more: More variables of the environment.
    """

    def __init__(
        self,
        folder: Path,
        program: str,
        *,
        base_url: str,
        key: str = "a-key",
        workers: int = 1,
        more: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(program)
        (folder / "with_workers.py").write_text(_WITH_WORKERS)
        self._folder = folder
        self._workers = workers
        self._environment = {
            **os.environ,
            "APP_SECRET": SECRET,
            "MODELSLAB_API_KEY": key,
            "MODELSLAB_BASE_URL": base_url,
            "MODELSLAB_LEGACY_BASE_URL": base_url,
            **(more or {}),
        }
        self._environment.pop("PYTHONSAFEPATH", None)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    @property
    def requests(self) -> list[tuple[str, str, str]]:
        """The worker, the method and the path of each request, in order."""
        path = self._folder / "requests.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(pid, method, path) for pid, method, path in map(str.split, lines)]

    def start(self) -> None:
        """Start the processes, and wait until each of them is ready."""
        # A supervisor would kill workers that a busy machine lets stand still for five seconds.
        options = ("--workers", str(self._workers), "--timeout-worker-healthcheck", "600")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", "with_workers:app"),
                    *("--port", str(self._port), *options),
                ],
                cwd=self._folder,
                env=self._environment,
                stderr=log,
                stdout=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while self.log.count("Application startup complete.") < self._workers or not (
            found := re.search(r"running on http://127\.0\.0\.1:(\d+)", self.log)
        ):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        self._port = int(found[1])

    @contextmanager
    def stopped(self, worker: str) -> Generator[str, None, None]:
        """Stop a worker while the block runs, so that all requests reach other workers."""
        os.kill(int(worker), signal.SIGSTOP)
        try:
            yield worker
        finally:
            os.kill(int(worker), signal.SIGCONT)

    def kill(self) -> None:
        """Kill all processes at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def running(self) -> Generator[Self, None, None]:
        """Serve while the block runs."""
        try:
            self.start()
            yield self
        finally:
            self.kill()
