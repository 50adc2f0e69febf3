"""WebhookAddresses: addresses that only this client can make. It receives no webhook."""

import hashlib
import hmac
import secrets
from typing import Any


class WebhookAddresses:
    """Makes webhook addresses, and recognizes them among the parameters of a submit."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)
        self._tokens: set[str] = set()

    def make(self, base: str, secret: str | None) -> str:
        """
        Add a secret part to the path of an address.

        Args:
            base: The public address of the receiver. A query stays behind the path.
            secret: What the part is derived from; None for a random secret of this object.
        """
        key = (secret or self._secret).encode()
        token = hmac.new(key, b"modelslab_async webhook", hashlib.sha256).hexdigest()
        self._tokens.add(token)
        path, separator, query = base.partition("?")
        return f"{path.rstrip('/')}/{token}{separator}{query}"

    def is_own(self, address: Any) -> bool:
        """Whether this object made an address, so that a webhook may come for the submit."""
        return str(address).partition("?")[0].rpartition("/")[2] in self._tokens
