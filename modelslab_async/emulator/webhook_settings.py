"""Webhooks: how an emulator's webhooks behave."""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from .setting_validators import as_range, check_range, check_share


def _check_copies(_instance: object, _attribute: object, value: int) -> None:
    if value < 1:
        raise ValueError(f"copies is at least 1 (lost=1.0 delivers none), got {value!r}")


@frozen(kw_only=True)
class Webhooks:
    """
    How the webhooks of an emulator behave.

    By default, the emulator sends one webhook at the end of each job, and one more at the start of
    a training. All shares are fractions of the jobs, from 0 to 1.

    Args:
        delay: The seconds by which each webhook is late, or a range of seconds. Forged webhooks are
            never late.
        copies: How many times each webhook is sent.
        lost: The share of jobs whose webhook is never sent.
        forged: The share of jobs with a forged webhook halfway through the job. The forged webhook
            reports a success and links to a host that does not exist.
        before_reply: The share of submits that are answered only after their webhooks have been
            sent.
        workflow_format: Which of the two documented formats the webhooks of workflows have.
        allow_remote: Whether the emulator may send webhooks to hosts that are not loopback.
        transport: The httpx transport that sends the webhooks, such as an `httpx.ASGITransport` of
            your own application. With None, the webhooks go over the network.
        seed: The seed of the random draws.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> Webhooks(delay=(0.0, 5.0), copies=2, lost=0.1).copies
        2
    """

    delay: tuple[float, float] = field(
        default=(0.0, 0.0), converter=as_range, validator=check_range
    )
    copies: int = field(default=1, validator=_check_copies)
    lost: float = field(default=0.0, validator=check_share)
    forged: float = field(default=0.0, validator=check_share)
    before_reply: float = field(default=0.0, validator=check_share)
    workflow_format: Literal["nested", "flat"] = "nested"
    allow_remote: bool = False
    transport: httpx.AsyncBaseTransport | None = None
    seed: int = 0

    def may_deliver_to(self, url: str) -> bool:
        """Return whether webhooks may be sent to this URL."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not host:
            return False
        return self.allow_remote or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    # Refuse all host names except `localhost`. A name could resolve to a loopback address now, and
    # to another address when the webhook is sent.
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
