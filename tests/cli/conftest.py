"""The real program in a process of its own, against the emulator on a socket."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from modelslab_async.emulator import Emulator, Jobs, run_server

from .forked_program import IS_SUPPORTED, ForkedProgram

KEY = "a-secret-key-for-the-command-line"
COMMAND = [sys.executable, "-m", "modelslab_async"]
TIMEOUT_S = 300
# SIGINT is what Ctrl-C sends. A program that one of them stops exits with 128 plus its number.
STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Service:
    """The emulator on a socket, in a thread of its own."""

    def __init__(self) -> None:
        self.emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), keys={KEY})
        self.base_url = ""
        self._up = threading.Event()
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()

    async def _serve(self) -> None:
        async with run_server(self.emulator) as self.base_url:
            self._up.set()
            await self._stop.wait()

    @contextmanager
    def up(self) -> Iterator["Service"]:
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        thread.start()
        assert self._up.wait(timeout=TIMEOUT_S)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            self._loop.close()

    def settle(self) -> None:
        """
        Wait until all requests have arrived that programs sent which have ended.

        The server accepts connections and reads requests in the order in which they came.
        """
        connection = HTTPConnection(urlsplit(self.base_url).netloc, timeout=TIMEOUT_S)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()


@pytest.fixture(scope="session")
def service():
    with Service().up() as service:
        yield service


@pytest.fixture
def emulator(service):
    """The emulator of all tests. What a test scripts for a ticket, no later test sees."""
    service.settle()
    yield service.emulator
    service.emulator._intake.job_store._scripts.clear()


class Program:
    """The program with its environment."""

    def __init__(self, base_url: str, forked: ForkedProgram | None = None) -> None:
        self._forked = forked
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MODELSLAB_") and not name.lower().endswith("_proxy")
        }
        self.environment = kept | {
            "MODELSLAB_API_KEY": KEY,
            "MODELSLAB_BASE_URL": base_url,
            "MODELSLAB_LEGACY_BASE_URL": base_url,
            "PYTHONIOENCODING": "utf-8",
        }

    def __call__(
        self, *arguments: str, given: str = "", folder: Path | None = None, **changes: str | None
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, with pipes, in a forked process if none of its modules change."""
        environment = self.changed(changes)
        is_path_kept = environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH")
        if self._forked is not None and is_path_kept:
            return self._forked.run(
                [*arguments],
                environment=environment,
                folder=folder or Path.cwd(),
                given=given,
                timeout=TIMEOUT_S,
            )
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=folder,
            env={"PYTHONPATH": str(Path.cwd())} | environment if folder else environment,
            input=given,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own, with pipes."""
        # A shell ignores Ctrl-C for its background jobs, and a test run would pass that on.
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [*COMMAND, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, inherited)

    def on_terminal(self, *arguments: str) -> tuple[int, str]:
        """Run it on a terminal, and return its exit code and everything it wrote there."""
        with self.start_on_terminal(*arguments) as (process, terminal):
            written = terminal.read_all()
            return process.wait(TIMEOUT_S), written

    @contextmanager
    def start_on_terminal(
        self, *arguments: str, columns: int = 200
    ) -> Iterator[tuple[subprocess.Popen[bytes], "Terminal"]]:
        """Start it on a terminal."""
        ours, theirs = pty.openpty()
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                env=self.environment | {"TERM": "xterm", "COLUMNS": str(columns)},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            signal.signal(signal.SIGINT, inherited)
        os.close(theirs)
        with process:
            # A terminal shows the key that is pressed, and sends the signal to its own programs.
            def press_ctrl_c() -> None:
                os.write(ours, b"\x03")
                process.send_signal(signal.SIGINT)

            process.press_ctrl_c = press_ctrl_c  # type: ignore[attr-defined]
            try:
                yield process, Terminal(ours)
            except BaseException:
                process.kill()
                raise

    def changed(self, environment: dict[str, str | None]) -> dict[str, str]:
        both = self.environment | environment
        return {name: value for name, value in both.items() if value is not None}


class Terminal:
    """What a program writes to its terminal. A thread reads it, so that the program never waits."""

    def __init__(self, descriptor: int) -> None:
        self._written = b""
        self._has_news = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(descriptor,), daemon=True)
        self._thread.start()

    def _read(self, descriptor: int) -> None:
        # On Linux, reading a terminal whose other side is closed is an error.
        with os.fdopen(descriptor, "rb", buffering=0) as terminal, suppress(OSError):
            while chunk := terminal.read(65536):
                with self._has_news:
                    self._written += chunk
                    self._has_news.notify_all()

    def wait_for(self, text: str) -> None:
        """Wait until the program has written this text."""
        with self._has_news:
            assert self._has_news.wait_for(lambda: text.encode() in self._written, TIMEOUT_S)

    def read_all(self) -> str:
        """Return everything that the program writes until it ends."""
        self._thread.join(TIMEOUT_S)
        return self._written.decode()


def screen_lines(written: str, columns: int = 200) -> list[str]:
    """The lines of a terminal after a program has written this text to it."""
    lines, row, column = [""], 0, 0
    for code, count, kind, character in re.findall(
        r"(\x1b\[\??(\d*)([A-Za-z]))|(.)", written, re.DOTALL
    ):
        if kind == "A":
            row -= int(count or 1)
        elif kind == "K":
            lines[row] = ""
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif not code:
            if column == columns:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return lines


@pytest.fixture(scope="session")
def forked():
    """What forks the program, on systems where that is possible."""
    if not IS_SUPPORTED:
        yield None
        return
    with ForkedProgram() as forked:
        yield forked


@pytest.fixture
def program(service, forked):
    return Program(service.base_url, forked)


@pytest.fixture
def here(program, tmp_path):
    """`batch` in an empty folder of its own, where journals and files go."""

    def run(*arguments, **settings):
        return program("batch", *arguments, folder=tmp_path, **settings)

    run.folder = tmp_path
    return run


@pytest.fixture
def without(tmp_path):
    """A PYTHONPATH with which some packages cannot be imported."""

    def hide(*names: str) -> str:
        for name in names:
            fault = f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})'
            (tmp_path / f"{name}.py").write_text(fault)
        return os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))

    return hide


@pytest.fixture
def with_site(tmp_path_factory):
    """A PYTHONPATH with which a program runs this code first."""

    def write(code: str) -> str:
        folder = tmp_path_factory.mktemp("site")
        (folder / "sitecustomize.py").write_text(code)
        return os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", str(Path.cwd()))))

    return write


# The clock of uvloop cannot be moved.
_LEAP = """
import asyncio, logging, sys, time
sys.modules["uvloop"] = None
ahead = 0.0
asyncio.BaseEventLoop.time = lambda _: time.monotonic() + ahead

def leap(record):
    global ahead
    ahead = {seconds}
    return True

logging.getLogger("modelslab_async").addFilter(leap)
"""


@pytest.fixture
def leap_at_first_warning(with_site):
    """
    A PYTHONPATH with which the event loop of a program leaps forward when the program warns.

    So its deadline is one that no slow machine reaches before.
    """
    return lambda seconds: with_site(_LEAP.format(seconds=seconds))


def children(pid: int) -> list[int]:
    """The living emulator processes that a process has started."""
    born = [each.pid for each in _processes() if each.parent == pid and each.is_alive]
    # Libraries start programs as well: some run ldconfig when they are imported.
    return [child for child in born if b"emulator_process_main" in _command(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    return any(each.pid == pid and each.is_alive for each in _processes())


def processes_of_session(session: int) -> list[int]:
    """The living processes of a session, such as all that a program of `start` has started."""
    return [each.pid for each in _processes() if each.session == session and each.is_alive]


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int
    is_alive: bool


def _processes() -> Iterator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield _Process(int(folder.name), int(fields[1]), int(fields[3]), fields[0] != "Z")
