"""read_utility_reply: a reply about no job becomes its fields or the right typed error."""

import json

import pytest

from modelslab_async import (
    AuthenticationError,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    ServerError,
    UnreadableReply,
)
from modelslab_async._parsing.utility_reply import read_utility_reply


def read(body, status_code=200, **more):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_utility_reply(status_code=status_code, body=data, **more)


@pytest.mark.parametrize(
    "body", [{"status": "success", "models": ["a"]}, {"models": ["a"]}, {"status": "processing"}]
)
def test_fields_are_returned(body):
    """A success, a reply without a status, and one that still runs are what the server said."""
    assert body == read(body)


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        (200, {"status": "error", "message": "no such voice"}, InvalidRequest),
        (200, {"status": "failed", "message": "too long"}, InvalidRequest),
        (200, {"status": "error", "message": "Invalid API key"}, AuthenticationError),
        (400, {"message": "no"}, InvalidRequest),
        (400, {"status": "success"}, UnreadableReply),
        (401, {"message": "no"}, AuthenticationError),
        (429, {"message": "no"}, RateLimited),
        (503, {"message": "no"}, ServerError),
        (200, b"<html>", UnreadableReply),
        (403, b"<html>", UnreadableReply),
        (403, b"no", PermissionDenied),
        (200, b"[1", UnreadableReply),
    ],
)
def test_refusal_and_trouble_are_errors(status_code, body, error):
    """The error is about no ticket, and has the status code."""
    with pytest.raises(error) as raised:
        read(body, status_code)
    assert type(raised.value) is error
    assert (None, status_code) == (raised.value.ticket, raised.value.status_code)


def test_array_becomes_a_field():
    """A list of models is returned as `data`."""
    assert {"data": ["a", "b"]} == read(b' ["a", "b"]')


@pytest.mark.parametrize(("status_code", "is_redirect"), [(300, True), (399, True), (299, False)])
def test_redirect_is_not_followed(status_code, is_redirect):
    """The message names where the server redirects to, without a query."""
    headers = [("Location", "https://other.example/a?key=1")]
    if not is_redirect:
        assert {"a": 1} == read({"a": 1}, status_code, headers=headers)
        return
    with pytest.raises(UnreadableReply, match=r"redirects to 'https://other\.example/a';"):
        read({"a": 1}, status_code, headers=headers)


def test_wait_that_the_server_asks_for_is_kept():
    """An absolute time counts from the time of the reply."""
    headers = {"Retry-After": "Fri, 20 Nov 2026 10:00:30 GMT"}
    with pytest.raises(RateLimited) as raised:
        read({"message": "slow"}, 429, headers=headers, received_at=1_795_168_800.0)
    assert 30.0 == raised.value.retry_after
    with pytest.raises(RateLimited) as raised:
        read(b"", 429, headers=headers, received_at=1_795_168_800.0)
    assert 30.0 == raised.value.retry_after
