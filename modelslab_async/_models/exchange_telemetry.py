"""ExchangeRecord: what telemetry may record about one HTTP request. It contains no secrets."""

from attrs import frozen

_DEFAULT_PORTS = {"http": 80, "https": 443}


@frozen(kw_only=True)
class ExchangeRecord:
    """
    One HTTP request and how it ended.

    Attributes:
        method: The HTTP method.
        scheme: `http` or `https`.
        host: The host.
        port: The port.
        path: The path of the URL, without the query, which may contain an API key or a signature.
        status_code: The HTTP status; None if no response came.
        error: The name of the error's type; "" if a response came.
        seconds: The seconds from sending the request to its response or error.
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str
    status_code: int | None
    error: str
    seconds: float

    @property
    def url(self) -> str:
        """The URL without its query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"
