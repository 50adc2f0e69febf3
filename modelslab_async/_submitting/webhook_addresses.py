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

    def make(self, base: str, secret: str | None, family: str) -> str:
        """
        Return an address whose path ends with the family and a secret part.

        Args:
            base: The public address of the webhook receiver, with or without a query.
            secret: Determines the secret part; None for a random one.
            family: The family to put into the path; "" for none.
        """
        token = self.token(secret, family)
        self._tokens.add(token)
        path, separator, query = base.partition("?")
        path = f"{path.rstrip('/')}/{family}".rstrip("/")
        return f"{path}/{token}{separator}{query}"

    def token(self, secret: str | None, family: str) -> str:
        """Return the secret part of an address. Each family has a different part."""
        key = (secret or self._secret).encode()
        subject = "modelslab_async webhook" + (f" {family}" if family else "")
        return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()

    def is_own(self, address: Any) -> bool:
        """Whether this object made the address."""
        return str(address).partition("?")[0].rpartition("/")[2] in self._tokens
