"""WebhookAddresses: makes webhook addresses that cannot be guessed."""

import hashlib
import hmac
import re
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

from .._models.argument_checks import check_text

_ADDRESS: Final = re.compile("https?://[^\x00-\x20\x7f]+", re.IGNORECASE)


def check_webhook_address(name: str, address: object) -> None:
    """
    Check that the service can send a webhook to an address.

    The service accepts an invalid address without an error, and then sends no webhook. The
    `ValueError` does not quote the address, because a part of the address is secret.

    Args:
        name: The argument that holds the address, for the message.
        address: The value of the argument.

    Raises:
        ValueError: The value is not an absolute HTTP address, or it has a fragment.
    """
    if not isinstance(address, str):
        got = f"a value of type {type(address).__name__}"
    elif _is_address(address):
        _check_no_fragment(name, address)
        return
    else:
        got = "another text"
    raise ValueError(
        f"{name} is a whole address that the service can reach, with https:// or http:// and a "
        f"host, such as 'https://me.example/hooks', got {got}; nothing was sent"
    )


def _check_no_fragment(name: str, address: str) -> None:
    if "#" in address:
        raise ValueError(
            f"{name} must not contain '#', because HTTP requests leave out what follows it; got an "
            "address with '#'; nothing was sent"
        )


def check_secret(secret: object) -> None:
    """
    Check the secret of a webhook receiver.

    Raises:
        TypeError: The secret is neither a string nor None.
        ValueError: The secret is empty.
    """
    check_text("secret", secret, default="a random one, which no other client knows")


def _is_address(text: str) -> bool:
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # The IPv6 address or the port is invalid.
        return False


class WebhookAddresses:
    """Makes webhook addresses, and recognizes them among the parameters of a submit."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)
        self._tokens: set[str] = set()

    def make(self, base: str, secret: str | None, family: str) -> str:
        """
        Return an address whose path ends with the family and a secret part.

        Args:
            base: The public address of the webhook receiver, with or without a query.
            secret: Determines the secret part; None for a random one.
            family: The family to put into the path; "" for none.

        Raises:
            TypeError: `secret` is neither a string nor None.
            ValueError: `base` is not an absolute HTTP address or has a fragment, or `secret` is
                empty.
        """
        check_webhook_address("the base of a webhook address", base)
        check_secret(secret)
        token = self.token(secret, family)
        self._tokens.add(token)
        path, separator, query = base.partition("?")
        path = f"{path.rstrip('/')}/{family}".rstrip("/")
        return f"{path}/{token}{separator}{query}"

    def token(self, secret: str | None, family: str) -> str:
        """Return the secret part of an address. Each family has a different secret part."""
        key = (self._secret if secret is None else secret).encode()
        subject = "modelslab_async webhook" + (f" {family}" if family else "")
        return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()

    def is_own(self, address: Any) -> bool:
        """Whether this object made the address."""
        return str(address).partition("?")[0].rpartition("/")[2] in self._tokens
