"""Bodies and headers of a broken proxy or server: read correctly, in bounded time and memory."""

import json
import sys
import time
from contextlib import suppress

import pytest
from everyday import pairs
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import (
    Failed,
    ModelsLabError,
    Processing,
    RateLimited,
    Success,
    Ticket,
    UnreadableReply,
    from_dict,
    read_reply,
    to_dict,
)

TICKET = Ticket("images", 1)
# Generous, for slow machines and coverage. Quadratic time would take minutes.
MAX_SECONDS = 15.0
LINK = "https://pub-1.r2.dev/a.png"


def read(body, *, status_code=200, headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(TICKET, status_code=status_code, headers=headers, body=data)


def nested(key, levels):
    """That many nested containers; the innermost holds a link."""
    value = [LINK]
    for _ in range(levels - 1):
        value = {key: value} if key else [value]
    return value


@pytest.mark.parametrize("key", ["", "output", "url", "data", "0", "other"])
@pytest.mark.parametrize("levels", [62, 63, 64, 65, 200])
def test_depth_limit_is_exact(key, levels):
    """64 levels are read, and one more makes the reply unreadable."""
    body = {"status": "success", "output": nested(key, levels), "tags": [[], []]}
    if levels < 64:
        assert (LINK,) == read(body).output
    else:
        with pytest.raises(UnreadableReply, match="deeper than 64 levels"):
            read(body)


@pytest.mark.parametrize("inside", [b"[", b'{"a":'])
def test_body_deeper_than_the_recursion_limit_is_unreadable(inside):
    """It makes no difference whether its brackets are closed."""
    # Python 3.14 has no limit of this kind. It reads both bodies to their ends.
    limited = sys.version_info < (3, 14)
    body = b'{"status":"success","output":' + inside * 12_000
    closed = body + b"1" + (b"]" if inside == b"[" else b"}") * 12_000 + b"}"
    with pytest.raises(UnreadableReply, match="too deeply" if limited else "no JSON"):
        read(body)
    with pytest.raises(UnreadableReply, match="too deeply" if limited else "deeper than 64"):
        read(closed)


WIDE = {
    "links": {"status": "success", "output": [LINK] * 45_000},
    "objects": {"status": "success", "output": [{"url": LINK, "other": LINK}] * 13_000},
    "empty objects": {"status": "success", "output": [{}] * 45_000},
    "keys": {"status": "success", "output": {str(n): LINK for n in range(30_000)}},
    "every name at every level": {
        "status": "success",
        "output": {},
        "links": {},
        "data": {"output": {}, "links": [], "proxy_links": {}},
        "result": nested("output", 60),
    },
    "a message of lists": {"status": "failed", "message": [["x"]] * 45_000},
    "quotes in a text": {"status": "processing", "message": '\\"' * 1_000_000},
    "an image in base64": {"status": "success", "output": ["A" * 14_000_000]},
    "an image with escaped slashes": {"status": "success", "output": ["AB/" * 4_000_000]},
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_body_is_read_in_linear_time(name):
    """The time depends on the length of a body, not on its shape."""
    began = time.process_time()
    assert isinstance(read(WIDE[name]), Processing | Success | Failed)
    assert time.process_time() - began < MAX_SECONDS


def body_of_many(shape, count=40_000):
    return b'{"status":"success","output":[' + b",".join([shape] * count) + b"]}"


@pytest.mark.parametrize(
    "body",
    [
        *map(body_of_many, (b"[],[]", b"{},{},{}", b'{"a":{}}', b"1.5,0,0", b'"a","b","c"')),
        b"[" + body_of_many(b"1,2,3") + b"]",
        b"\xff" + body_of_many(b"1,2,3"),
        body_of_many(b"1,2,3").decode().encode("utf-16"),
    ],
    ids=["lists", "objects", "nested", "numbers", "texts", "a list", "broken", "utf-16"],
)
def test_body_with_too_many_values_is_not_parsed(body, monkeypatch):
    """A body that would fill the memory is refused by its bytes alone."""
    monkeypatch.setattr(
        "modelslab_async._parsing.json_body._decode", lambda _: pytest.fail("decoded")
    )
    with pytest.raises(UnreadableReply, match=r"JSON with more than 100000 commas|no JSON object"):
        read(body)


def test_large_body_that_is_no_object_is_not_parsed(monkeypatch):
    """A large page, list or run of blanks is not even decoded."""
    monkeypatch.setattr(
        "modelslab_async._parsing.json_body._decode", lambda _: pytest.fail("decoded")
    )
    for body in (b"<html>" + b"x" * 100_000, b"[" * 100_000, b" " * 1_000_000, b'"' * 100_000):
        with pytest.raises(UnreadableReply):
            read(body)


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b" \r\n\t" * 50_000])
def test_byte_order_mark_and_blanks_around_large_object_are_ignored(before):
    """The result inside is still read."""
    body = before + json.dumps({"status": "success", "output": ["A" * 100_000]}).encode() + b"\n"
    assert ("A" * 100_000,) == read(body).output


@pytest.mark.parametrize(
    ("status_code", "words"),
    pairs([200, 404, 429], ["url ", "wait ", "the id ", "no such ", "rate limit ", "x not "]),
)
def test_long_message_is_searched_in_linear_time(words, status_code):
    """The time does not grow faster than the length of the message."""
    message = words * (8_000_000 // len(words))
    began = time.process_time()
    with suppress(ModelsLabError):
        read({"status": "error", "message": message, "tips": message}, status_code=status_code)
    assert time.process_time() - began < MAX_SECONDS / 5


def test_nested_result_fields_are_visited_once():
    """The time stays short however many known names lead to a value."""
    names = ("url", "link", "image", "text", "output", "links", "proxy_links", "output_url", "x")
    value = {}
    for level in range(46):
        value = {names[level % len(names)]: value, "y": [value] if level < 14 else []}
    began = time.process_time()
    assert () == read({"status": "success", "output": value}).output
    assert time.process_time() - began < MAX_SECONDS


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"success","output":["caf\xe9"]}',
        b'{"status":"success","output":"\\ud83d and \\udc00"}',
        b'{"status":"success","output":{"text":"\\udfff"}}',
        b'{"status":"success","proxy_links":["\\ud800"]}',
        b'{"\\ud800":"\\ud800","status":"success","output":["a"]}',
    ],
)
def test_texts_can_be_encoded(body):
    """Lone surrogates and invalid bytes stay in `raw`, but are replaced in texts."""
    reply = read(body)
    assert "".join(reply.output + reply.proxy_links).encode("utf-8")
    assert reply == from_dict(json.loads(json.dumps(to_dict(reply))))


def test_number_with_too_many_digits_is_unreadable():
    """The longest number that Python accepts is kept."""
    longest = sys.get_int_max_str_digits()
    reply = read(b'{"status":"processing","eta":' + b"9" * longest + b"}")
    assert reply.eta is None
    assert reply == from_dict(json.loads(json.dumps(to_dict(reply), allow_nan=False)))
    with pytest.raises(UnreadableReply, match="no JSON"):
        read(b'{"status":"processing","eta":' + b"9" * (longest + 1) + b"}")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_infinite_and_nan_numbers_become_texts(word):
    """The body can then be written as valid JSON again."""
    reply = read(f'{{"status":"success","output":["a"],"meta":{{"seed":{word}}}}}'.encode())
    assert {"seed": word} == reply.meta
    assert reply == from_dict(json.loads(json.dumps(to_dict(reply), allow_nan=False)))


@pytest.mark.parametrize(
    ("eta", "expected"),
    [(6, 6.0), (0.25, 0.25), ("7", 7.0), (" 7.5 ", 7.5), (0, 0.0)]
    + [(odd, None) for odd in (-1, "soon", "nan", "inf", True, None, [6], {"s": 6}, 10**400)],
)
def test_eta_is_a_number_or_none(eta, expected):
    """A finite, non-negative number counts, also as a string."""
    assert expected == read({"status": "processing", "eta": eta}).eta


def test_last_of_duplicate_names_counts():
    """Duplicate names are read as JSON parsers do."""
    assert (LINK,) == read(
        b'{"status":"failed","output":"%s","status":"success"}' % LINK.encode()
    ).output


@pytest.mark.parametrize("status_code", [300, 301, 302, 303, 304, 307, 308, 399])
@pytest.mark.parametrize("form", [dict, list, lambda pairs: [(b"Location", pairs[0][1].encode())]])
def test_redirect_error_names_location_without_query(status_code, form):
    """The query may hold a key. The body of a redirect is ignored."""
    headers = form([("Location", "https://old.example/api/v6/x?key=secret&a=1")])
    with pytest.raises(UnreadableReply, match=r"'https://old\.example/api/v6/x'") as caught:
        read({"status": "success", "output": LINK}, status_code=status_code, headers=headers)
    assert "secret" not in str(caught.value)
    assert status_code == caught.value.status_code


def test_error_shows_one_printable_line_of_the_body():
    """The excerpt is short and has no control characters."""
    with pytest.raises(UnreadableReply) as caught:
        read(b"<html>\r\n\x1b[31m" + b"x" * 10_000)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200
    assert "<html>" in caught.value.message


DATES = st.lists(
    st.sampled_from(
        [
            *("Fri,", "20", "Nov", "2026", "10:00:00", "GMT", "+0000", "-9999", "EST", ","),
            *("(c", "0", "9" * 20, "-", "::", "24:60:61", "20-Nov-2026", "Nov,", "1e5"),
            *("\x00", "\u00b3", "\uff11"),
        ]
    ),
    max_size=8,
).map(" ".join)
VALUES = DATES | st.text(max_size=20) | st.integers().map(str) | st.floats().map(str)
NAMES = ["Retry-After", "retry-after", "X-RateLimit-Reset", "Date", "Location", "X"]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5)
HEADERS = PAIRS | PAIRS.map(dict) | st.lists(st.tuples(st.binary(max_size=12), st.binary()))


@given(
    headers=HEADERS,
    status_code=st.integers(100, 999),
    received_at=st.none() | st.floats(0, 1e11),
    body=st.sampled_from([b"", b"{}", b'{"status":"error","message":"Rate limit exceeded"}']),
)
def test_any_headers_give_a_valid_retry_after(headers, status_code, received_at, body):
    """Whatever the headers hold, the delay is None or within the limit."""
    with pytest.raises(ModelsLabError) as caught:
        read_reply(
            TICKET, status_code=status_code, headers=headers, body=body, received_at=received_at
        )
    seconds = caught.value.retry_after
    assert seconds is None or 0.0 <= seconds <= 300.0
    assert TICKET == caught.value.ticket
    assert status_code == caught.value.status_code


@pytest.mark.parametrize("skew", [-86_400, -60, 0, 60, 86_400])
@pytest.mark.parametrize(
    "hint",
    [("Retry-After", "Fri, 20 Nov 2026 10:00:09 GMT"), ("X-RateLimit-Reset", "1795168809")],
)
def test_wrong_local_clock_does_not_change_retry_after(hint, skew):
    """An absolute time is compared with the reply's own `Date`."""
    with pytest.raises(RateLimited) as caught:
        read_reply(
            TICKET,
            status_code=429,
            headers=[("Date", "Fri, 20 Nov 2026 10:00:00 GMT"), hint],
            body=b"",
            received_at=1_795_168_800 + skew,
        )
    assert 9.0 == caught.value.retry_after


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("please wait for 30 seconds and try again", 30.0),
        ("Try again in 45s", 45.0),
        ("Retry after 2 minutes.", 120.0),
        ("wait 9999 min", 300.0),
        ("try again later", None),
        ("wait for request 12345678901 to end", None),
    ],
)
def test_retry_after_is_read_from_the_message(words, seconds):
    """Seconds and minutes count where the words are about waiting."""
    with pytest.raises(RateLimited) as caught:
        read({"status": "error", "message": "Rate limit exceeded", "tips": words})
    assert seconds == caught.value.retry_after
