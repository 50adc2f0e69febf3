"""Fills and splits URL templates such as `{base}/v6/voice/fetch/{id}`."""

import re
from urllib.parse import urlsplit

from .service_hosts import BASE_URL, LEGACY_BASE_URL

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_HOST_PLACEHOLDERS = ("base", "legacy")


def fill_hosts(template: str, *, base: str = BASE_URL, legacy: str = LEGACY_BASE_URL) -> str:
    """Replace `{base}` and `{legacy}` in a URL template with the service's two hosts."""
    return template.replace("{base}", base).replace("{legacy}", legacy)


def placeholders(template: str) -> tuple[str, ...]:
    """Return a template's names in braces, from left to right, without `base` and `legacy`."""
    names = _PLACEHOLDER.findall(template)
    return tuple(name for name in names if name not in _HOST_PLACEHOLDERS)


def split_at_placeholders(template: str) -> tuple[str, ...]:
    """Fill in the hosts of a template, then split it at its other placeholders."""
    return tuple(_PLACEHOLDER.sub("\0", fill_hosts(template)).split("\0"))


def is_absolute_url(template: str) -> bool:
    """Whether a template is an http or https URL with a fixed host, without query or fragment."""
    parts = urlsplit(fill_hosts(template))
    has_fixed_host = bool(parts.hostname) and "{" not in parts.netloc
    is_http = parts.scheme in ("http", "https")
    return is_http and has_fixed_host and not parts.query and not parts.fragment
