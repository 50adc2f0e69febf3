"""WebhookAddresses: makes webhook addresses that cannot be guessed. It receives no webhook."""

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
            base: The public address of the receiver. The secret part goes before its query.
            secret: The secret from which the part is derived; None for a random secret.
        """
        key = (secret or self._secret).encode()
        token = hmac.new(key, b"modelslab_async webhook", hashlib.sha256).hexdigest()
        self._tokens.add(token)
        path, separator, query = base.partition("?")
        return f"{path.rstrip('/')}/{token}{separator}{query}"

    def is_own(self, address: Any) -> bool:
        """Whether this object made the address. Only then can this client get the webhook."""
        return str(address).partition("?")[0].rpartition("/")[2] in self._tokens
