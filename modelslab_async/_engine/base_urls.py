"""Sets the base URLs of families and endpoints, from arguments, the environment or defaults."""

import os
from collections.abc import Mapping
from typing import Protocol, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from .._registry.service_hosts import BASE_URL, LEGACY_BASE_URL

BASE_URL_VARIABLE = "MODELSLAB_BASE_URL"
LEGACY_BASE_URL_VARIABLE = "MODELSLAB_LEGACY_BASE_URL"


class _Row(Protocol):
    """A family or an endpoint. Its URL begins with one of the service's two base URLs."""

    def with_hosts(self, *, base: str, legacy: str) -> Self: ...


_RowT = TypeVar("_RowT", bound=_Row)


def with_base_urls(
    rows: Mapping[str, _RowT], *, base_url: str | None, legacy_base_url: str | None
) -> dict[str, _RowT]:
    """
    Return copies of families or endpoints, with the client's base URLs in their URLs.

    The order of precedence is: the argument, the environment variable, the default.

    Raises:
        ValueError: A base URL is not an http or https URL, or has a query or a password.
    """
    base = _checked_base_url(base_url, BASE_URL_VARIABLE, BASE_URL)
    legacy = _checked_base_url(legacy_base_url, LEGACY_BASE_URL_VARIABLE, LEGACY_BASE_URL)
    return {name: row.with_hosts(base=base, legacy=legacy) for name, row in rows.items()}


def _checked_base_url(given: str | None, variable: str, default: str) -> str:
    url = (given or os.environ.get(variable) or default).rstrip("/")
    parts = _split_plain_url(url)
    if parts is None:
        source = "base_url" if given else variable
        # The given text may be the API key, passed by mistake. So the message does not repeat it.
        raise ValueError(
            f"{source} is a URL such as {default!r}, without a query; the given text is none"
        )
    if parts.username or parts.password:
        raise ValueError("a base URL contains no user name and no password")
    # Other clients of the service write its base URL without "/api". Accept both forms.
    return url if parts.path else f"{url}/api"


def _split_plain_url(url: str) -> SplitResult | None:
    """Split an http or https URL without query or fragment. Return None for any other string."""
    if not (url.isascii() and url.isprintable()) or set(url) & set(" {}?#"):
        return None
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if is_valid else None
