"""read_submit_reply: the response to a submit becomes a reply with a ticket or a typed error."""

import json

import pytest

from modelslab_async import (
    FAMILIES,
    AuthenticationError,
    Failed,
    Family,
    GenerationFailed,
    InvalidRequest,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    ServerError,
    Success,
    Ticket,
    UnreadableReply,
)
from modelslab_async._parsing.submit_reply import read_submit_reply

HOSTED = {name: family.with_hosts() for name, family in FAMILIES.items()}
RUNNING = {"status": "processing"}


def read(body, *, family="images", params=None, status_code=200, families=HOSTED):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_submit_reply(
        families[family],
        params or {},
        status_code=status_code,
        body=data,
        families=families,
        local_id="local",
    )


@pytest.mark.parametrize(
    ("fields", "id_"),
    [
        ({"id": 5}, "5"),
        ({"id": "abc"}, "abc"),
        ({"request_id": 6}, "6"),
        ({"training_id": 7, "id": 5}, "7"),
        ({"execution_id": 8, "id": 5}, "8"),
        ({"taskId": "t-9"}, "t-9"),
        ({"id": 5, "request_id": 6}, "5"),
        ({"id": None, "request_id": 6}, "6"),
        ({"id": "", "request_id": 6}, "6"),
        ({"id": True, "request_id": 6}, "6"),
        ({"id": [1], "request_id": 6}, "6"),
        ({"id": "a b\n", "request_id": 6}, "6"),
        ({"id": "5/6", "request_id": 6}, "6"),
    ],
)
def test_id_of_the_ticket(fields, id_):
    """The first valid id counts, whatever its field is called."""
    reply = read({**RUNNING, **fields})
    assert isinstance(reply, Processing)
    assert Ticket("images", id_) == reply.ticket


@pytest.mark.parametrize(
    ("fields", "params", "id_"),
    [
        ({"workflow_id": "w", "execution_id": "e"}, {}, "w/e"),
        ({"execution_id": "e"}, {"workflow_id": "w"}, "w/e"),
        ({"workflow_id": "w", "execution_id": "e"}, {"workflow_id": "other"}, "w/e"),
        ({"workflow_id": "w", "id": 3}, {}, "w/3"),
        ({"workflow_id": "w", "execution_id": "e", "id": 3}, {}, "w/3"),
    ],
)
def test_id_of_several_parts(fields, params, id_):
    """A part that the reply leaves out is taken from the parameters, except the last one."""
    assert ("workflow_id", "id") == HOSTED["workflows"].id_parts
    reply = read({**RUNNING, **fields}, family="workflows", params=params)
    assert Ticket("workflows", id_) == reply.ticket


@pytest.mark.parametrize("fields", [{"workflow_id": "w"}, {"execution_id": "e"}])
def test_missing_part_of_an_id_is_no_id(fields):
    """Accepted work without a complete id cannot be polled, so the reply is unreadable."""
    with pytest.raises(UnreadableReply, match="accepted the work and gave no id"):
        read({**RUNNING, **fields}, family="workflows", params={"id": "not this"})


@pytest.mark.parametrize(
    ("url", "ticket"),
    [
        ("https://modelslab.com/api/v6/images/fetch/12", "images:12"),
        ("https://modelslab.com/api/v6/video/fetch/ab12", "video:ab12"),
        ("https://stablediffusionapi.com/api/v3/fetch/12", "legacy_v3:12"),
        ("https://modelslab.com/api/v6/images/fetch/", None),
        ("https://modelslab.com/api/v6/images/fetch/12/13", None),
        ("https://other.example/api/v6/images/fetch/12", None),
        ("https://other.example/?https://modelslab.com/api/v6/images/fetch/12", None),
    ],
)
def test_fetch_result_names_the_ticket_without_an_id(url, ticket):
    """Only the URL of a registered family does, and its last part is the id."""
    if ticket is None:
        with pytest.raises(UnreadableReply, match="gave no id"):
            read({**RUNNING, "fetch_result": url}, family="realtime")
    else:
        reply = read({**RUNNING, "fetch_result": url}, family="realtime")
        assert Ticket.parse(ticket) == reply.ticket
        assert (
            Ticket("realtime", 9)
            == read({**RUNNING, "fetch_result": url, "id": 9}, family="realtime").ticket
        )


def test_family_with_the_id_in_the_body_is_found_by_its_url():
    """The service puts the id into `fetch_result` all the same."""
    own = Family(name="own", url="https://a.example/fetch", id_field="request_id")
    families = {"own": own}
    reply = read(
        {**RUNNING, "fetch_result": "https://a.example/fetch/12"}, family="own", families=families
    )
    assert Ticket("own", 12) == reply.ticket


def test_result_without_an_id_gets_a_local_ticket():
    """It has ended, so no poll is needed."""
    reply = read({"status": "success", "output": ["https://a.example/1.png"]})
    assert isinstance(reply, Success)
    assert Ticket.without_id("images", "local") == reply.ticket


def test_unreadable_accepted_work_says_what_the_server_said():
    """The message of the server is kept."""
    with pytest.raises(UnreadableReply) as raised:
        read({**RUNNING, "message": "wait"})
    assert "wait" == raised.value.server_message


@pytest.mark.parametrize(
    ("body", "has_started"),
    [
        ({"status": "failed", "message": "out of memory", "id": 5}, True),
        ({"status": "FAILED", "message": "out of memory"}, True),
        ({"status": "error", "message": "out of memory", "id": 5}, True),
        ({"status": "error", "message": "bad prompt"}, False),
        ({"status": "error", "message": "Request not found", "id": 5}, False),
    ],
)
def test_failure_of_started_work_differs_from_a_refusal(body, has_started):
    """Without an id or the status `failed`, and for an unknown id, nothing was started."""
    with pytest.raises(GenerationFailed if has_started else InvalidRequest) as raised:
        read(body)
    expected = Ticket("images", 5) if has_started and "id" in body else None
    assert (expected, body["message"]) == (raised.value.ticket, raised.value.message)
    if has_started:
        assert isinstance(raised.value.reply, Failed)
    else:
        assert (200, body["message"]) == (raised.value.status_code, raised.value.server_message)


def test_refusal_without_a_reason_has_the_status_code():
    """The message says that there is no reason."""
    with pytest.raises(InvalidRequest, match="the server answered 200 and gave no reason"):
        read({"status": "error"})


REFUSED = {"status": "error", "message": "Invalid API key"}


@pytest.mark.parametrize(
    ("body", "status_code", "error"),
    [
        ({**REFUSED, "id": 5}, 200, AuthenticationError),
        ({**RUNNING, "id": 5}, 429, RateLimited),
        ({**RUNNING, "training_id": 5}, 402, PaymentRequired),
        ({**RUNNING, "taskId": 5}, 403, PermissionDenied),
        ({"status": "error", "message": "no", "id": 5}, 400, InvalidRequest),
        ({"id": 5}, 500, ServerError),
        ({**RUNNING, "id": 5, "request_id": 6}, 401, AuthenticationError),
        (
            {**RUNNING, "fetch_result": "https://modelslab.com/api/v6/images/fetch/5"},
            429,
            RateLimited,
        ),
    ],
)
def test_error_has_the_ticket_that_its_reply_names(body, status_code, error):
    """The work may have begun, whatever the status and the message say."""
    with pytest.raises(error) as raised:
        read(body, status_code=status_code)
    assert Ticket("images", 5) == raised.value.ticket


@pytest.mark.parametrize(
    ("body", "status_code", "error"),
    [
        (REFUSED, 200, AuthenticationError),
        ({**REFUSED, "id": ""}, 200, AuthenticationError),
        ({**REFUSED, "id": None}, 401, AuthenticationError),
        ({**RUNNING, "id": 0}, 429, RateLimited),
        ({**RUNNING, "request_id": "trace-6"}, 429, RateLimited),
        (b"no JSON", 200, UnreadableReply),
    ],
)
def test_error_has_no_ticket_if_its_reply_names_no_job(body, status_code, error):
    """An empty id names no job, and a gateway puts a `request_id` into each reply."""
    with pytest.raises(error) as raised:
        read(body, status_code=status_code)
    assert raised.value.ticket is None


@pytest.mark.parametrize(
    ("fields", "ticket"),
    [
        ({"execution_id": "e"}, Ticket("workflows", "w/e")),
        ({"request_id": "trace"}, None),
    ],
)
def test_error_of_a_workflow_has_the_ticket_of_its_run(fields, ticket):
    """The id of the workflow comes from the request, and alone names no run."""
    with pytest.raises(RateLimited) as raised:
        read(fields, family="workflows", params={"workflow_id": "w"}, status_code=429)
    assert ticket == raised.value.ticket
