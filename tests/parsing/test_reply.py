"""read_reply: every response becomes the right reply or the right typed error."""

import gzip
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelslab_async import (
    AuthenticationError,
    Failed,
    InvalidRequest,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    ServerError,
    Success,
    Ticket,
    UnreadableReply,
    from_dict,
    read_reply,
    to_dict,
)

LINK = "https://pub-1.r2.dev/generations/a-0.png"
MIRROR = "https://cdn2.example/generations/a-0.png"
DATE = "Fri, 20 Nov 2026 10:00:00 GMT"
EPOCH = 1_795_168_800


def read(body, *, family="images", status_code=200, headers=(), received_at=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(
        Ticket(family, 1),
        status_code=status_code,
        headers=headers,
        body=data,
        received_at=received_at,
    )


RUNNING = [
    {"status": "processing", "messege": "try again later.", "output": "", "tip": "x"},
    {"status": "processing", "message": "try again later.", "output": [], "id": 1, "eta": 13.06},
    {"status": "processing", "eta": 10, "fetch_result": "https://x/1", "future_links": [LINK]},
    {"status": "processing", "output": [LINK], "proxy_links": ""},
    {"status": "queued", "taskId": "a", "fileId": "b", "links": [LINK], "eta": 5},
    {"status": "Pending"},
    {"status": "in progress"},
    {"state": "running"},
    {"status": "pondering"},
]
DONE = [
    {"status": "success", "id": 1, "output": [LINK], "proxy_links": None},
    {"status": "success", "id": None, "output": LINK},
    {"status": "success", "output": {"0": LINK}},
    {"status": "success", "output": {"output": [LINK], "proxy_links": [MIRROR]}},
    {"status": "success", "output": [{"url": LINK, "seed": "https://not.it"}]},
    {"status": "success", "output": [], "links": [LINK]},
    {"status": "success", "output": "", "proxy_links": [LINK]},
    {"status": "success", "output": None, "proxy_links": {"0": LINK}},
    {"status": "success", "output_url": LINK},
    {"status": "success", "output": [], "link": LINK},
    {"status": "success", "data": {"link": LINK}},
    {"status": "success", "output": [{"image": LINK, "seed": "https://not.it"}]},
    {"status": "success", "data": {"output": [LINK]}},
    {"status": "success", "result": {"output": [LINK]}},
    {"status": "completed", "output": [LINK]},
    {"STATUS": "ignored", "status": " Success ", "output": [f" {LINK} "]},
    {"links": [LINK], "generationTime": 1.57, "id": 10},
]


@pytest.mark.parametrize("body", RUNNING, ids=json.dumps)
def test_running_job_becomes_processing(body):
    """Unknown status words are not terminal."""
    assert isinstance(read(body), Processing)


@pytest.mark.parametrize("body", DONE, ids=json.dumps)
def test_done_job_becomes_success(body):
    """Results in any field and shape become a tuple of strings."""
    reply = read(body)
    assert isinstance(reply, Success)
    assert (LINK,) == reply.output


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"status": "success", "output": [LINK]}, "400 with the status 'success' and no message"),
        ({}, "400 with no status and no message"),
        ({"status": "error", "message": "no", "tips": "ask less"}, "^images:1: no$"),
    ],
)
def test_error_has_the_server_message(body, words):
    """If there is none, the message describes the reply; tips are appended to it."""
    with pytest.raises(ModelsLabError, match=words) as error:
        read(body, status_code=400)
    expected = " ".join(filter(None, (body.get("message"), body.get("tips"))))
    assert expected == error.value.server_message


@pytest.mark.parametrize("output", [[], "", None, {}, 5, True])
def test_success_without_results_has_empty_output(output):
    """The status alone decides."""
    assert () == read({"status": "success", "output": output}).output


def test_transcript_is_a_result():
    """Speech to text may return a text, an object with one, or a list."""
    for output in ("hello there", {"text": "hello there", "timestamps": [1, 2]}, ["hello there"]):
        assert ("hello there",) == read({"status": "success", "output": output}).output


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        ({"status": "failed", "id": "", "message": "Failed, Try Again"}, "failed", "Failed, Try"),
        ({"status": "error", "messege": "Model not found: x"}, "failed", "Model not found"),
        ({"status": "error", "message": {"width": ["must be a number."]}}, "failed", "width: must"),
        ({"status": "error", "error": {"message": "boom", "code": 1}}, "failed", "boom"),
        ({"status": "error"}, "failed", ""),
        ({"status": "failed", "message": "Request not found"}, "not_found", "Request not found"),
        ({"status": "cancelled"}, "cancelled", ""),
        ({"status": "error", "message": "The prompt field is required."}, "failed", "The prompt"),
    ],
)
def test_failed_job_becomes_failed(body, reason, message):
    """The reply has the server's words and a reason."""
    reply = read(body)
    assert isinstance(reply, Failed)
    assert reason == reply.reason
    assert reply.message.startswith(message)


@pytest.mark.parametrize(
    "message",
    [
        "Unable to fetch image from provided URL: permission denied",
        "Failed to download image: 429 too many requests",
        "Could not fetch https://x/api_key/unknown.png",
        "The plan of the room was not found in the image",
        "Out of memory",
        "No credits shown in the video",
        "NSFW content detected",
        "Too many requests to the host of the image",
    ],
)
def test_job_message_about_limits_is_no_refusal(message):
    """A failed job that mentions plans, keys or limits does not end other tickets."""
    assert isinstance(read({"status": "failed", "message": message}), Failed)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid API key", AuthenticationError),
        ("Invalid Api Key.", AuthenticationError),
        ("API key required", AuthenticationError),
        ("Your API key has expired", AuthenticationError),
        ("You have no credits left", PaymentRequired),
        ("Insufficient credits. Please add credits to your account.", PaymentRequired),
        ("You are out of credits", PaymentRequired),
        ("Your subscription has expired", PaymentRequired),
        ("This feature requires a premium subscription", PermissionDenied),
        ("This model is not available on your current plan", PermissionDenied),
        ("Rate limit exceeded", RateLimited),
        ("Too many requests", RateLimited),
        ("Invalid API Request", InvalidRequest),
        ("The request_id field is required.", InvalidRequest),
    ],
)
@pytest.mark.parametrize("spelling", ["message", "messege"])
def test_refusal_inside_status_200_is_raised(message, kind, spelling):
    """The service may refuse by its message alone."""
    with pytest.raises(kind) as caught:
        read({"status": "error", spelling: message})
    assert type(caught.value) is kind
    assert message == caught.value.server_message


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (400, InvalidRequest),
        (401, AuthenticationError),
        (402, PaymentRequired),
        (403, PermissionDenied),
        (405, InvalidRequest),
        (408, ServerError),
        (422, InvalidRequest),
        (425, ServerError),
        (429, RateLimited),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (524, ServerError),
        (302, UnreadableReply),
    ],
)
@pytest.mark.parametrize("body", [b'{"status":"error","message":"no"}', b"<html>no</html>", b""])
def test_http_status_decides_the_error(status_code, kind, body):
    """A page of HTML with an account status is only unreadable."""
    if (kind is InvalidRequest and not body.startswith(b"{")) or (
        status_code in (401, 402, 403) and body.startswith(b"<")
    ):
        kind = UnreadableReply
    with pytest.raises(ModelsLabError) as caught:
        read(body, status_code=status_code)
    assert kind is type(caught.value)
    assert status_code == caught.value.status_code
    assert Ticket("images", 1) == caught.value.ticket


@pytest.mark.parametrize(
    ("status_code", "body", "text"),
    [
        (500, b'{"message":"Server Error"}', "the server answered 500: Server Error; the fault is"),
        (502, b"<html>", "the server answered 502 with no JSON: '<html>'; the fault is at the"),
        (200, b'{"status":"error","message":"Internal server error"}', "the server answered 200: "),
    ],
)
def test_server_error_names_its_status_and_who_is_at_fault(status_code, body, text):
    """The server's own words alone would not say that its status was 500."""
    with pytest.raises(ServerError) as caught:
        read(body, status_code=status_code)
    assert str(caught.value).startswith(f"images:1: {text}")
    assert "report it to the service" in str(caught.value)
    assert "answered" not in caught.value.server_message


def test_404_with_a_status_word_means_unknown_id():
    """Any other 404 means a wrong route."""
    body = {"status": "error", "message": "no"}
    assert "not_found" == read(body, status_code=404).reason
    with pytest.raises(InvalidRequest, match="could not be found"):
        read({"message": "The route api/x could not be found."}, status_code=404)
    with pytest.raises(InvalidRequest, match="could not be found"):
        read({"status": "error", "message": "The route x could not be found."}, status_code=404)
    with pytest.raises(UnreadableReply):
        read(b"<html>Not Found</html>", status_code=404)


def test_refusal_phrase_wins_over_status_400():
    """A bad key is reported as such, even with status 400."""
    with pytest.raises(AuthenticationError):
        read({"status": "error", "message": "Invalid API key"}, status_code=400)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"retry_after": 30}, {}, 30.0),
        ({"retry_after": "30"}, {"Retry-After": "5"}, 30.0),
        ({}, {"Retry-After": "7"}, 7.0),
        ({}, [(b"retry-after", b"7")], 7.0),
        ({}, {"retry-after": "Fri, 20 Nov 2026 10:00:09 GMT", "date": DATE}, 9.0),
        ({}, {"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": DATE}, 0.0),
        ({}, {"x-ratelimit-reset": str(EPOCH + 12), "date": DATE}, 12.0),
        ({}, {"x-ratelimit-reset": str(EPOCH + 20)}, 20.0),
        ({}, {"x-ratelimit-reset": str(EPOCH - 20)}, 0.0),
        ({}, {"x-ratelimit-reset": "45"}, 45.0),
        ({"retry_after": 10**12}, {}, 300.0),
        ({}, {"retry-after": "10" * 40}, 300.0),
        ({}, {"retry-after": "soon"}, None),
        ({"retry_after": -5}, {}, None),
        ({"retry_after": True}, {}, None),
        ({"retry_after": [30]}, {}, None),
        ({"tips": "spam filter is enabled, please wait for 30 seconds and try again"}, {}, 30.0),
        ({}, {}, None),
    ],
)
def test_retry_after_sources_in_order(body, headers, expected):
    """The body comes first, then headers, then the message; nonsense is skipped."""
    with pytest.raises(RateLimited) as caught:
        read(
            {"status": "error", "message": "Rate limit exceeded"} | body,
            status_code=429,
            headers=headers,
            received_at=EPOCH,
        )
    assert expected == caught.value.retry_after


@pytest.mark.parametrize(
    ("messege", "kind"),
    [
        ("deploying_gpu", Processing),
        ("training_started", Processing),
        ("training_success", Processing),
        ("trained_model_uploaded", Processing),
        ("something new", Processing),
        ("", Processing),
        ("model_ready", Success),
        ("failed", Failed),
        ("training_failed", Failed),
    ],
)
def test_training_stage_is_read_from_the_message(messege, kind):
    """The status of a training is 'success' from the start."""
    body = {"status": "success", "messege": messege, "data": "a log"}
    assert isinstance(read(body, family="training"), kind)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        ("pending", Processing, None),
        ("running", Processing, None),
        ("new word", Processing, None),
        ("completed", Success, None),
        ("failed", Failed, "failed"),
        ("cancelled", Failed, "cancelled"),
    ],
)
def test_workflow_state_is_read_from_execution(status, kind, reason):
    """The outer status is 'success' whatever the run does."""
    body = {
        "status": "success",
        "execution": {"id": 1, "status": status, "execution_time": 15.2},
        "output": {"output": [LINK], "proxy_links": [MIRROR]},
        "error": "boom" if status == "failed" else None,
    }
    reply = read_reply(Ticket("workflows", "w/1"), status_code=200, body=json.dumps(body).encode())
    assert isinstance(reply, kind)
    assert reason == getattr(reply, "reason", None)
    if kind is Success:
        assert ((LINK,), (MIRROR,), 15.2) == (
            reply.output,
            reply.proxy_links,
            reply.generation_time,
        )
    if status == "failed":
        assert "boom" == reply.message


NESTED = b'{"status":"success","output":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"<html>Bad gateway</html>",
        b'{"status": "succ',
        b"[]",
        b'"success"',
        b"null",
        b"5",
        b"NaN",
        b"\xff\xfe\x00",
        gzip.compress(b'{"status":"success"}', mtime=0),
        NESTED,
        b'{"a":' * 100_000,
        b'{"status":"success","id":' + b"9" * 5000 + b"}",
        b'{"message":"Server Error"}',
        b"{}",
        b'{"status":null}',
        b'{"status":""}',
        b'{"status":5,"message":"x"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_body_without_information_is_unreadable(body):
    """Such a body ends no ticket: the poller polls again."""
    with pytest.raises(UnreadableReply):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"status":"processing"}',
        '{"status":"processing"}'.encode("utf-16"),
        b'{"status":"processing","eta":NaN}',
        b'{"status":"processing","eta":1e999}',
        b'{"status":"processing","eta":-3}',
        b'{"status":"processing","message":"\\ud800"}',
        b'{"status":"processing","message":"caf\xe9"}',
        b'{"status":"failed","status":"processing"}',
    ],
)
def test_unusual_but_readable_body_is_read(body):
    """An invalid eta becomes None, and texts can be encoded."""
    reply = read(body)
    assert isinstance(reply, Processing)
    assert reply.eta is None
    reply.message.encode()


def test_nested_body_within_the_depth_limit_is_read():
    """A deeper body is unreadable. Both take little time."""
    deep = {"status": "success", "output": LINK}
    for _ in range(60):
        deep = {"status": "success", "output": deep, "data": deep if _ < 5 else 1, "links": {}}
    assert (LINK,) == read(deep).output
    with pytest.raises(UnreadableReply, match="64 levels"):
        read({"status": "success", "output": deep, "meta": {"a": {"b": {"c": {"d": deep}}}}})


def test_reply_has_the_polled_ticket():
    """The id of the body may be missing, empty or another one."""
    for id_ in (None, "", 2, "other"):
        assert Ticket("images", 1) == read({"status": "success", "id": id_}).ticket
        assert Ticket("images", 1) == read({"status": "failed", "id": id_}).ticket


def test_success_has_all_fields_of_the_body():
    """Figures, mirrors and the whole body are kept."""
    body = {
        "status": "success",
        "output": [LINK],
        "proxy_links": [MIRROR],
        "generationTime": "2.5",
        "nsfw_content_detected": True,
        "meta": {"W": 512},
        "message": "done",
    }
    reply = read(body)
    assert ((MIRROR,), 2.5, True, {"W": 512}, "done", body) == (
        reply.proxy_links,
        reply.generation_time,
        reply.nsfw,
        reply.meta,
        reply.message,
        reply.raw,
    )
    assert read({"status": "success", "has_nsfw_concept": [False, True]}).nsfw
    assert read({"status": "success"}).nsfw is None


def test_unknown_family_is_read_as_generation():
    """A ticket of no registered family follows the rule of generations."""
    reply = read_reply(Ticket("v9_images", 1), status_code=200, body=b'{"status":"processing"}')
    assert isinstance(reply, Processing)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    """
    status state message messege error errors output links proxy_links future_links fetch_result
    status_url eta id meta data result execution generationTime nsfw_content_detected tips tip
    has_nsfw_concept retry_after output_url training_status
    """.split()  # noqa: SIM905 -- a column of quotation marks hides the names.
)
WORDS = st.sampled_from(
    ["success", "processing", "failed", "error", "queued", "model_ready", "new"]
)
BODIES = st.dictionaries(FIELDS, JSON | WORDS, max_size=8).map(
    lambda body: json.dumps(body).encode()
)
STATUS_CODES = st.sampled_from([200, 200, 200, 202, 204, 301, 400, 401, 404, 418, 429, 500, 599])
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "x-ratelimit-reset", "location"]), st.text(max_size=30)
)


@settings(max_examples=400)
@given(
    family=st.sampled_from(["images", "training", "workflows", "v8"]),
    status_code=STATUS_CODES,
    headers=HEADERS,
    body=BODIES | st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
)
@example(family="images", status_code=200, headers={}, body=b'{"status":"success","output":1e999}')
def test_any_response_becomes_a_reply_or_a_package_error(family, status_code, headers, body):
    """A reply can also be stored as JSON and read back."""
    ticket = Ticket(family, "w/1" if family == "workflows" else 1)
    try:
        reply = read_reply(ticket, status_code=status_code, headers=headers, body=body)
    except ModelsLabError as error:
        assert ticket == error.ticket  # noqa: PT017 -- an error is one of two right answers.
        return
    assert isinstance(reply, Processing | Success | Failed)
    for texts in (getattr(reply, "output", ()), getattr(reply, "proxy_links", ())):
        assert isinstance(texts, tuple)
        assert all(isinstance(text, str) for text in texts)
    kept = json.loads(json.dumps(to_dict(reply), allow_nan=False))
    assert reply == from_dict(kept)
