"""
Refuses to send while a test mocks httpx, if the mock cannot intercept the request.

respx and pytest-httpx patch httpx or httpcore. The default transport uses neither of these, so it
would really send requests that the test means to mock. This module never imports respx or
pytest-httpx.
"""

import sys

import httpx

from .._models.errors import RequestBlocked


def refuse_if_mocked(*, instead: str, uses_httpcore: bool = False) -> None:
    """
    Refuse to send if respx or pytest-httpx is active but cannot intercept the request.

    Args:
        instead: The expression that a test can write so that the mock intercepts the request.
        uses_httpcore: Whether the request goes through httpcore, which respx patches by default.

    Raises:
        RequestBlocked: The request would really be sent.
    """
    if "respx" in sys.modules and _is_respx_active(ignore_httpcore=uses_httpcore):
        mock = "respx"
    elif "pytest_httpx" in sys.modules and _is_pytest_httpx_active():
        mock = "pytest-httpx"
    else:
        return
    raise RequestBlocked(
        f"{mock} is active but cannot see this request, which would be sent for real. Write "
        f"{instead} to let {mock} answer it, or pass http=httpx.MockTransport(...), or an emulator "
        "of modelslab_async.emulator as http=httpx.ASGITransport(app=emulator)"
    )


def _is_respx_active(*, ignore_httpcore: bool) -> bool:
    mocks = sys.modules.get("respx.mocks")
    return mocks is not None and any(
        mocker.routers
        for target, mocker in mocks.Mocker.registry.items()
        if not (ignore_httpcore and target == "httpcore")
    )


def _is_pytest_httpx_active() -> bool:
    # The fixture of pytest-httpx replaces this method. Nothing else shows that the fixture is used.
    return httpx.AsyncHTTPTransport.handle_async_request.__module__.startswith("pytest_httpx")
