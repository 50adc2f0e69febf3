"""A decoded row equals what was encoded, and a row holds nothing twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reply_strategies import PROCESSING, REPLIES, TICKET

from modelslab_async import (
    InvalidRequest,
    PaymentRequired,
    Unresolved,
    WaitTimeout,
    read_reply,
)
from modelslab_async._journal.row_codec import decode, encode

BODIES = [
    {"status": "success", "id": 1, "generationTime": 2, "output": ["https://a/b.png"]},
    {"status": "success", "output": [], "proxy_links": ["https://a"], "meta": {"W": 512}},
    {"status": "success", "output": "https://a/b.png", "nsfw_content_detected": True},
    {"status": "success", "output": {"0": "https://a"}, "message": " padded "},
    {"status": "processing", "eta": 7.5, "message": "wait", "future_links": ["https://a"]},
    {"status": "Queued", "eta": "12", "fetch_result": "https://a/fetch/1"},
    {"status": "error", "message": "no such thing \ud800"},
    {"status": "failed", "message": {"prompt": ["is empty"]}},
]


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_reply_comes_back_whatever_its_body(body):
    """The row gives the reply that was read from the body."""
    reply = read_reply(TICKET, status_code=200, headers={}, body=json.dumps(body).encode())
    decoded = decode(TICKET, encode(reply))
    assert reply == decoded
    assert repr(reply) == repr(decoded)


def test_usual_reply_is_stored_as_its_body_alone():
    """Fields that follow from the body are not stored beside it."""
    body = {"status": "success", "output": ["https://a"], "meta": {"W": 1}, "generationTime": 1.5}
    reply = read_reply(TICKET, status_code=200, headers={}, body=json.dumps(body).encode())
    _, written, extra = encode(reply)
    assert body == json.loads(written)
    assert extra is None


@given(value=REPLIES)
def test_encoding_changes_no_reply(value):
    """It holds for all fields and bodies."""
    assert value == decode(TICKET, encode(value))


@pytest.mark.parametrize(
    "cause",
    [
        PaymentRequired("no credits", status_code=402, server_message="no credits"),
        InvalidRequest("bad", status_code=400),
        WaitTimeout("not over after 5 s"),
    ],
    ids=lambda cause: type(cause).__name__,
)
@given(last=st.none() | PROCESSING)
def test_unresolved_outcome_comes_back(cause, last):
    """It has its cause with all details, and its last reply."""
    cause = cause.with_ticket(TICKET)
    if isinstance(cause, WaitTimeout):
        cause.last = last
    decoded = decode(TICKET, encode(Unresolved(ticket=TICKET, cause=cause, last=last)))
    assert (TICKET, last) == (decoded.ticket, decoded.last)
    assert type(cause) is type(decoded.cause)
    assert vars(cause) == vars(decoded.cause)
