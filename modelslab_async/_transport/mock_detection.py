"""
Refuses to send where a test mocks httpx with a package that cannot see the sender.

respx and pytest-httpx patch httpx or httpcore. The default transport uses neither, so it would send
for real what the test meant to mock. Neither package is ever imported here.
"""

import sys

import httpx

from .._models.errors import RequestBlocked


def refuse_if_mocked(*, instead: str, uses_httpcore: bool = False) -> None:
    """
    Refuse to send if respx or pytest-httpx is active and does not see the sender.

    Args:
        instead: The expression to write so that they see it.
        uses_httpcore: Whether the sender uses httpcore, which respx patches by default.

    Raises:
        RequestBlocked: The request would be sent for real.
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
    # Its fixture replaces this method, and tells nowhere else that it is active.
    return httpx.AsyncHTTPTransport.handle_async_request.__module__.startswith("pytest_httpx")
