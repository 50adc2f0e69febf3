"""to_dict and from_dict: replies and outcomes as JSON, and back without loss."""

import json

import pytest
from hypothesis import given
from reply_strategies import REPLIES, TICKET

from modelslab_async import (
    ClientClosed,
    Failed,
    GenerationFailed,
    HandshakeFailed,
    ModelsLabError,
    PaymentRequired,
    Processing,
    RateLimited,
    SubmitUncertain,
    Success,
    TransportError,
    Unresolved,
    UntrustedServer,
    UnusableProxy,
    WaitTimeout,
    from_dict,
    to_dict,
)

RAW = {"status": "x", "nested": [{"a": None}, 1.5, "\ud800"]}


@pytest.mark.parametrize(
    "value",
    [
        Processing(ticket=TICKET, status="queued", eta=2.5, future_links=("a",), raw=RAW),
        Success(ticket=TICKET, output=("a", "b"), meta={"W": 1}, nsfw=False, raw=RAW),
        Failed(ticket=TICKET, message="no", reason="cancelled", raw=RAW),
    ],
)
def test_reply_survives_json(value):
    """A reply is equal after a dictionary and JSON text."""
    record = to_dict(value)
    assert type(value).__name__.lower() == record["kind"]
    assert "images:1" == record["ticket"]
    assert value == from_dict(json.loads(json.dumps(record)))


def test_unresolved_outcome_survives_json():
    """Its cause is rebuilt with all its data and the same ticket."""
    cause = PaymentRequired(
        "no credits", ticket=TICKET, status_code=402, server_message="no credits"
    )
    value = Unresolved(ticket=TICKET, cause=cause, last=Processing(ticket=TICKET, raw=RAW))
    restored = from_dict(json.loads(json.dumps(to_dict(value))))
    assert (value.ticket, value.last) == (restored.ticket, restored.last)
    assert type(cause) is type(restored.cause)
    assert vars(cause) == vars(restored.cause)


@pytest.mark.parametrize(
    "cause",
    [
        TransportError("cut", may_have_been_sent=False),
        TransportError("cut", may_have_been_sent=True),
        SubmitUncertain("who knows", endpoint="images/text2img", track_id="t-1"),
        WaitTimeout("not over after 5 s", last=Processing(ticket=TICKET, eta=2.5, raw=RAW)),
        RateLimited("slow", status_code=429, server_message="slow", retry_after=30.0),
        ClientClosed("closed"),
        UntrustedServer("expired"),
        HandshakeFailed("certificate required", may_have_been_sent=True),
        UnusableProxy("no URL"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_cause_keeps_attributes_of_its_class(cause):
    """Attributes that only one error class has are stored and read back."""
    cause = cause.with_ticket(TICKET)
    value = Unresolved(ticket=TICKET, cause=cause, last=getattr(cause, "last", None))
    restored = from_dict(json.loads(json.dumps(to_dict(value))))
    assert type(cause) is type(restored.cause)
    assert vars(cause) == vars(restored.cause)
    assert str(cause) == str(restored.cause)


class VPNDown(TransportError):
    """An error of a caller's own transport."""


class RateLimited2(RateLimited):
    """An error with the name of another error of the package."""


RateLimited2.__name__ = "AuthenticationError"


@pytest.mark.parametrize(
    ("cause", "nearest"),
    [
        (VPNDown("no vpn", may_have_been_sent=False), TransportError),
        (RateLimited2("slow", retry_after=30.0), RateLimited),
        (GenerationFailed(Failed(ticket=TICKET, message="no")), ModelsLabError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_cause_of_a_class_that_cannot_be_read_back_becomes_its_nearest_base(cause, nearest):
    """A caller's own transport or family may raise a subclass of an error of the package."""
    cause = cause.with_ticket(TICKET)
    restored = from_dict(json.loads(json.dumps(to_dict(Unresolved(ticket=TICKET, cause=cause)))))
    assert nearest is type(restored.cause)
    for name in vars(nearest("")):
        assert getattr(cause, name) == getattr(restored.cause, name)


def test_missing_cause_field_gets_its_default():
    """A record of an older version may lack a field of the error."""
    record = json.loads(json.dumps(to_dict(Unresolved(ticket=TICKET, cause=UntrustedServer("x")))))
    del record["cause"]["may_have_been_sent"]
    cause = from_dict(record).cause
    assert isinstance(cause, UntrustedServer)
    assert cause.may_have_been_sent is False


@given(value=REPLIES)
def test_any_reply_survives_json(value):
    """Decoding an encoded reply gives an equal one, whatever its fields hold."""
    assert value == from_dict(json.loads(json.dumps(to_dict(value))))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "other"},
        {"kind": ["success"]},
        None,
        [],
        "success",
        {"kind": "success"},
        {"kind": "success", "ticket": "images"},
        {"kind": "success", "ticket": "images:1", "surprise": 1},
        {"kind": "success", "ticket": "images:1", "output": "abc"},
        {"kind": "success", "ticket": "images:1", "output": [1]},
        {"kind": "unresolved", "ticket": "images:1", "cause": {"error": "copy", "message": ""}},
        {"kind": "unresolved", "ticket": "images:1", "cause": {"error": "nothing"}},
        {"kind": "unresolved", "ticket": "images:1", "cause": {"error": "Ticket", "message": ""}},
    ],
)
def test_invalid_record_is_refused(record):
    """A dictionary that `to_dict` did not write raises a ValueError that says so."""
    with pytest.raises(ValueError, match="record"):
        from_dict(record)
