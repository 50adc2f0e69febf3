"""A real headless Chromium, and the page's application as its reader would serve it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from web_app_process import WebApp

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


@pytest.fixture
def serve_app(
    tmp_path: Path, program_of: Callable[[str], str], serving: Serving
) -> Callable[..., AbstractContextManager[WebApp]]:
    """Serve the program of the page against an emulator. The options are those of `WebApp`."""

    @contextmanager
    def serve(emulator: Emulator, **options: Any) -> Iterator[WebApp]:
        program = options.pop("program", None) or program_of("how-to/web-app.md")
        with serving(emulator) as base_url:
            app = WebApp(tmp_path, program, base_url=base_url, key=KEY, **options)
            with app.running():
                yield app

    return serve
