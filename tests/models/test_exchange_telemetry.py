"""The URL of a recorded request: without a query, and with a port only where that is needed."""

import pytest

from modelslab_async._models.exchange_telemetry import ExchangeRecord


@pytest.mark.parametrize(
    ("scheme", "host", "port", "url"),
    [
        ("https", "a.example", 443, "https://a.example/v6"),
        ("http", "a.example", 80, "http://a.example/v6"),
        ("https", "a.example", 80, "https://a.example:80/v6"),
        ("http", "127.0.0.1", 8080, "http://127.0.0.1:8080/v6"),
        ("http", "::1", 8080, "http://[::1]:8080/v6"),
    ],
)
def test_url_of_a_request(scheme, host, port, url):
    """The default port of the scheme is left out, and an IPv6 address has brackets."""
    record = ExchangeRecord(
        method="GET",
        scheme=scheme,
        host=host,
        port=port,
        path="/v6",
        status_code=200,
        error="",
        seconds=0.1,
    )
    assert url == record.url
