"""URL templates: placeholders of the hosts and of the path. It sends nothing."""

import re
from urllib.parse import urlsplit

from .service_hosts import BASE_URL, LEGACY_BASE_URL

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_HOST_PLACEHOLDERS = ("base", "legacy")


def fill_hosts(template: str, *, base: str = BASE_URL, legacy: str = LEGACY_BASE_URL) -> str:
    """Put the two hosts in place of `{base}` and `{legacy}`."""
    return template.replace("{base}", base).replace("{legacy}", legacy)


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names in braces except the hosts, from left to right."""
    names = _PLACEHOLDER.findall(template)
    return tuple(name for name in names if name not in _HOST_PLACEHOLDERS)


def split_at_placeholders(template: str) -> tuple[str, ...]:
    """Return the text before, between and after the placeholders, with the hosts filled in."""
    return tuple(_PLACEHOLDER.sub("\0", fill_hosts(template)).split("\0"))


def is_absolute_url(template: str) -> bool:
    """Whether a template has a scheme and a fixed host, but no query and no fragment."""
    parts = urlsplit(fill_hosts(template))
    has_fixed_host = bool(parts.hostname) and "{" not in parts.netloc
    is_http = parts.scheme in ("http", "https")
    return is_http and has_fixed_host and not parts.query and not parts.fragment
