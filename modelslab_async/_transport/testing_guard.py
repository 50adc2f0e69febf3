"""
Refuses requests that a test does not mean to send.

`OUTBOUND_GUARD` refuses requests to other machines while a test forbids them. The guard is off
until the pytest plugin turns it on.

`refuse_if_mocked` refuses a request that a mock of httpx should intercept but cannot see. respx and
pytest-httpx patch httpx or httpcore. The default transport uses neither httpx nor httpcore, so it
would really send the request.

This module never imports pytest, httpx or a mock, because it is imported whenever pytest starts.
"""

import sys
from ipaddress import ip_address

_LOCALHOST = "localhost"


class OutboundGuard:
    """
    Refuses requests to hosts other than this machine.

    Attributes:
        refusal: The end of the error message, which says what to do instead. If it is "", no
            request is refused.
    """

    def __init__(self) -> None:
        self.refusal = ""

    def check(self, host: str) -> None:
        """
        Refuse a request to another machine, unless `refusal` is "".

        Raises:
            RequestBlocked: The request is refused.
        """
        if self.refusal and not is_loopback(host):
            raise _blocked(f"a test may not send a request to {host}: {self.refusal}")


# There is one guard for the process, because any thread and any task of a test may send.
OUTBOUND_GUARD = OutboundGuard()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine. No name is resolved."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == _LOCALHOST or name.endswith(f".{_LOCALHOST}")
    # A connection to 0.0.0.0 or [::] reaches this machine too.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def refuse_if_mocked(*, instead: str, uses_httpcore: bool = False) -> None:
    """
    Refuse to send if respx or pytest-httpx is active but cannot intercept the request.

    Args:
        instead: What the test can write to let the mock intercept the request.
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
    raise _blocked(
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
    # The fixture of pytest-httpx replaces `AsyncHTTPTransport.handle_async_request`. Nothing else
    # shows that a test uses the fixture.
    transport = sys.modules["httpx"].AsyncHTTPTransport
    module: str = transport.handle_async_request.__module__
    return module.startswith("pytest_httpx")


def _blocked(message: str) -> Exception:
    # Import the error class only when it is needed, because this module is imported whenever pytest
    # starts.
    from .._models.errors import RequestBlocked  # noqa: PLC0415

    return RequestBlocked(message)
