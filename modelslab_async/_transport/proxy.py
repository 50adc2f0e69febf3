"""Proxy: the address and the password of a proxy. No repr and no message shows the password."""

import re
from base64 import b64encode
from importlib.util import find_spec
from urllib.parse import quote, urlsplit

import httpx
from attrs import evolve, frozen
from attrs import field as attrs_field

from .._models.errors import UnusableProxy
from .transport_protocol import Response

# With this status, a proxy refuses a request because the user or the password is missing or wrong.
UNAUTHORIZED_STATUS = 407
_HTTP_PORTS = {"http": 80, "https": 443}
_SOCKS_SCHEMES = ("socks5", "socks5h")
_is_scheme = re.compile(r"[a-z][a-z0-9+.-]*").fullmatch
_NOT_A_URL = "is no URL with a host and a port, such as http://proxy.example:3128"
# The minimum length of a proxy's password that is redacted in responses, in characters. A shorter
# password could occur in a response by chance.
_MIN_PASSWORD_LENGTH = 8


def wrong_password_error(origin: str) -> UnusableProxy:
    """Make the error for a proxy that answers with status 407. `origin` names the proxy."""
    return UnusableProxy(
        f"{origin} cannot be used: it asks for another user and password (status 407)"
    )


class InvalidProxy(ValueError):
    """
    A proxy URL cannot be used.

    The message never shows the URL, which may hold a password. The message begins with a verb,
    because callers put the name of the proxy in front.
    """


@frozen(kw_only=True)
class Proxy:
    """
    A proxy. Its repr leaves out everything that may hold the password.

    Attributes:
        origin: How messages name the proxy, such as "the proxy of HTTPTransport".
        scheme: "http", "https", "socks5" or "socks5h".
        host: The host of the proxy.
        port: The port of the proxy.
        url: The whole URL, with user and password.
        authorization: The value of the `Proxy-Authorization` header; "" if the URL names no user.
        secrets: What `redact` replaces: the password and its encoded forms.
    """

    origin: str
    scheme: str
    host: str
    port: int
    url: str = attrs_field(repr=False)
    authorization: str = attrs_field(default="", repr=False)
    secrets: tuple[bytes, ...] = attrs_field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str, *, origin: str) -> "Proxy":
        """
        Parse the URL of a proxy. `origin` is what error messages call the proxy.

        Raises:
            InvalidProxy: The text is not the URL of a proxy, or it names a SOCKS proxy and socksio
                is not installed.
        """
        scheme, separator, _ = text.partition("://")
        scheme = scheme.lower()
        if not separator or not _is_scheme(scheme):
            raise InvalidProxy(_NOT_A_URL)
        if scheme not in (*_HTTP_PORTS, *_SOCKS_SCHEMES):
            expected = ", ".join((*_HTTP_PORTS, *_SOCKS_SCHEMES))
            raise InvalidProxy(f"has the scheme {scheme!r}, expected {expected}")
        if scheme in _SOCKS_SCHEMES and find_spec("socksio") is None:
            raise InvalidProxy('speaks SOCKS, which needs socksio: pip install "httpx[socks]"')
        return cls._from_url(scheme, _parse_url(text), text, origin)

    @classmethod
    def _from_url(cls, scheme: str, url: httpx.URL, text: str, origin: str) -> "Proxy":
        proxy = cls(
            origin=origin,
            scheme=scheme,
            host=url.raw_host.decode("ascii"),
            port=url.port or _HTTP_PORTS.get(scheme, 1080),
            url=text,
        )
        if not (url.username or url.password):
            return proxy
        token = b64encode(f"{url.username}:{url.password}".encode())
        passwords = {url.password, quote(url.password, "")}
        return evolve(
            proxy,
            authorization=f"Basic {token.decode()}",
            secrets=(
                token,
                *(each.encode() for each in passwords if len(each) >= _MIN_PASSWORD_LENGTH),
            ),
        )

    @property
    def is_socks(self) -> bool:
        """Whether the proxy speaks SOCKS instead of HTTP."""
        return self.scheme in _SOCKS_SCHEMES

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that authorize a request to the proxy; empty if the URL names no user."""
        return (("Proxy-Authorization", self.authorization),) if self.authorization else ()

    def redact(self, response: Response) -> Response:
        """Replace the proxy's password in a response, because the proxy may quote the request."""
        if not any(
            secret in part
            for secret in self.secrets
            for part in (response.body, *(value for _, value in response.headers))
        ):
            return response
        return evolve(
            response,
            headers=[(name, self._redact_bytes(value)) for name, value in response.headers],
            body=self._redact_bytes(response.body),
        )

    def _redact_bytes(self, data: bytes) -> bytes:
        for secret in self.secrets:
            data = data.replace(secret, b"[proxy password]")
        return data


def _parse_url(text: str) -> httpx.URL:
    try:
        # `urlsplit` refuses a port above 65,535 and an unmatched bracket. httpx accepts both.
        port, url = urlsplit(text).port, httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise InvalidProxy(_NOT_A_URL) from None
    if not url.raw_host or port == 0 or any(map(str.isspace, text)):
        raise InvalidProxy(_NOT_A_URL)
    return url
