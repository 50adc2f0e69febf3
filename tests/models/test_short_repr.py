"""Long data is shortened in every repr; short data and links are shown as they are."""

import base64

import pytest

from modelslab_async import (
    Call,
    Failed,
    Processing,
    Response,
    Saved,
    Submitted,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._models.short_repr import short_repr
from modelslab_async.emulator import ScriptedReply

TICKET = Ticket("images", 1)
PICTURE = base64.b64encode(bytes(range(256)) * 3000).decode()
DATA_URI = f"data:image/png;base64,{PICTURE}"
LINK = f"https://x.example/0.png?signature={'a' * 900}"


@pytest.mark.parametrize(
    "value",
    [
        Success(ticket=TICKET, output=(PICTURE,)),
        Success(ticket=TICKET, output=(DATA_URI, PICTURE), proxy_links=(PICTURE,)),
        Success(ticket=TICKET, message=PICTURE),
        Processing(ticket=TICKET, future_links=(PICTURE,), message=PICTURE, fetch_result=PICTURE),
        Failed(ticket=TICKET, message=PICTURE),
        Unresolved(
            ticket=TICKET,
            cause=WaitTimeout("late"),
            last=Processing(ticket=TICKET, message=PICTURE),
        ),
        Saved(ticket=TICKET, files=(), success=Success(ticket=TICKET, output=(PICTURE,))),
        Submitted(
            ticket=TICKET,
            endpoint="realtime/text2img",
            track_id="1",
            payload_hash="2",
            reply=Success(ticket=TICKET, output=(PICTURE,)),
        ),
        Response(status_code=200, body=PICTURE.encode()),
        ScriptedReply(200, PICTURE.encode()),
        Call(method="POST", url="https://x.example", fields={"a": [PICTURE]}, repeatable=False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_base64_is_shortened(value):
    """A megabyte of base64 shows its beginning and its length."""
    text = repr(value)
    assert len(text) < 1500
    assert f"{len(PICTURE)} " in text or f"{len(DATA_URI)} " in text


@pytest.mark.parametrize("output", [("a",), (LINK, LINK), (), ("a text of some words",)])
def test_short_output_is_shown_as_it_is(output):
    """The repr of a reply with links can be read back."""
    success = Success(ticket=TICKET, output=output)
    assert f"output={output!r}, " in repr(success)
    assert success == eval(repr(success), {"Success": Success, "Ticket": Ticket})


def test_longest_text_that_is_shown_whole():
    """A text of 500 characters or bytes, and a link of 2,000."""
    for text in ("x" * 500, b"x" * 500, "https://a.example/".ljust(2000, "x")):
        assert repr(text) == short_repr(text)
        assert len(short_repr(text + text[-1:])) < 200
