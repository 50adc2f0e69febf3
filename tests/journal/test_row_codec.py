"""Coding: what goes into a row comes out of it, and nothing is written twice."""

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
def test_what_a_server_says_comes_back(body):
    """Whatever shape a body has, the reply that was read from it is read from the row again."""
    reply = read_reply(TICKET, status_code=200, headers={}, body=json.dumps(body).encode())
    twin = decode(TICKET, encode(reply))
    assert reply == twin
    assert repr(reply) == repr(twin)


def test_the_usual_reply_is_its_body_alone():
    """What stands in the body is not repeated beside it."""
    body = {"status": "success", "output": ["https://a"], "meta": {"W": 1}, "generationTime": 1.5}
    reply = read_reply(TICKET, status_code=200, headers={}, body=json.dumps(body).encode())
    _, written, extra = encode(reply)
    assert body == json.loads(written)
    assert extra is None


@given(value=REPLIES)
def test_no_reply_is_changed_by_being_kept(value):
    """Decoding what was encoded gives the same, whatever the fields and the body hold."""
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
def test_an_unresolved_outcome_comes_back(cause, last):
    """With its cause, all that the cause tells, and the last reply."""
    cause = cause.with_ticket(TICKET)
    if isinstance(cause, WaitTimeout):
        cause.last = last
    twin = decode(TICKET, encode(Unresolved(ticket=TICKET, cause=cause, last=last)))
    assert (TICKET, last) == (twin.ticket, twin.last)
    assert type(cause) is type(twin.cause)
    assert vars(cause) == vars(twin.cause)
