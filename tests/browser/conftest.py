"""A real headless Chromium, and the page's application as its reader would serve it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from modelslab_async.emulator import Emulator

KEY = "a-key-that-no-visitor-may-see"
PATIENCE = 120.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=800,900",
)

Serving = Callable[[Emulator], AbstractContextManager[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", action="store_true", help="renew the screenshots in docs/_static"
    )


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    """The Chromium that `CHROMIUM` and `CHROMEDRIVER` name, or the one on the path."""
    options = ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    assert driver, "there is no chromedriver on the path"
    service = Service(executable_path=driver)
    try:
        chrome = Chrome(options=options, service=service)
        chrome.set_page_load_timeout(PATIENCE)
        try:
            yield chrome
        finally:
            chrome.quit()
    finally:
        service.stop()


class App:
    """`uvicorn app:app` in a process of its own, on one address for its whole life."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self._port)],
                cwd=self._folder,
                env=self._environment,
                stderr=log,
                stdout=log,
            )
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"running on http://127\.0\.0\.1:(\d+)", self.log)):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        self._port = int(found[1])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def serve_app(
    tmp_path: Path, program_of: Callable[[str], str], serving: Serving
) -> Callable[[Emulator], AbstractContextManager[App]]:
    """Serve the program of the page against an emulator."""

    @contextmanager
    def serve(emulator: Emulator) -> Iterator[App]:
        (tmp_path / "app.py").write_text(program_of("how-to/web-app.md"))
        with serving(emulator) as base_url:
            environment = {
                **os.environ,
                "APP_SECRET": "a-secret-for-the-tests",
                "MODELSLAB_API_KEY": KEY,
                "MODELSLAB_BASE_URL": base_url,
                "MODELSLAB_LEGACY_BASE_URL": base_url,
            }
            environment.pop("PYTHONSAFEPATH", None)
            app = App(tmp_path, environment)
            try:
                app.start()
                yield app
            finally:
                app.kill()

    return serve
