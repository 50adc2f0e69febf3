"""Bodies of every recorded shape, each with the reply or error that it must become."""

import json
from pathlib import Path

import pytest

import modelslab_async
from modelslab_async import (
    FAMILIES,
    Failed,
    ModelsLabError,
    Processing,
    Success,
    Ticket,
    from_dict,
    read_reply,
    to_dict,
)

FOLDER = Path(__file__).parents[1] / "samples"


def samples(*names):
    return [
        pytest.param(sample, id=f"{name}: {title}")
        for name in names
        for title, sample in json.loads((FOLDER / f"{name}.json").read_text()).items()
    ]


def read(sample):
    """Read a sample as a reply of its family; `images` where the family does not matter."""
    family = sample.get("family", "images")
    parts = FAMILIES[family].id_parts
    return read_reply(
        Ticket(family, "/".join(parts) or "1"),
        status_code=sample.get("status_code", 200),
        body=json.dumps(sample["body"]).encode(),
    )


def check_fields(sample, reply):
    """Each field of the sample has its value, and the reply holds the whole body."""
    actual = {name: getattr(reply, name) for name in sample["fields"]}
    lists = {name: list(value) for name, value in actual.items() if isinstance(value, tuple)}
    assert sample["fields"] == actual | lists
    assert sample["body"] == reply.raw
    assert reply == from_dict(json.loads(json.dumps(to_dict(reply), allow_nan=False)))


@pytest.mark.parametrize("sample", samples("processing"))
def test_sample_of_a_running_job(sample):
    """Announced links, mirrors and an outer success are no results yet."""
    reply = read(sample)
    assert Processing is type(reply)
    check_fields(sample, reply)


@pytest.mark.parametrize("sample", samples("success"))
def test_sample_of_a_done_job(sample):
    """Results of any shape become strings, in their order."""
    reply = read(sample)
    assert Success is type(reply)
    check_fields(sample, reply)


@pytest.mark.parametrize("sample", samples("failed"))
def test_sample_of_a_failed_job(sample):
    """A failed job becomes a reply with its reason."""
    reply = read(sample)
    assert Failed is type(reply)
    check_fields(sample, reply)


@pytest.mark.parametrize("sample", samples("errors"))
def test_sample_of_an_error(sample):
    """Server trouble and refusals are raised as exactly the right error."""
    with pytest.raises(ModelsLabError) as caught:
        read(sample)
    assert getattr(modelslab_async, sample["error"]) is type(caught.value)
    assert sample.get("retry_after") == caught.value.retry_after
    assert sample.get("status_code", 200) == caught.value.status_code
    assert Ticket(sample.get("family", "images"), "1").family == caught.value.ticket.family


@pytest.mark.parametrize("sample", samples("processing", "success", "failed"))
@pytest.mark.parametrize("id_", [None, "", 0, "another", [1], {"id": 1}])
def test_id_in_the_body_does_not_change_the_ticket(sample, id_):
    """The reply is about the ticket that was polled."""
    body = {"id": 1, "request_id": 2} | sample["body"] | {"id": id_}
    assert read(sample).ticket == read(sample | {"body": body}).ticket


@pytest.mark.parametrize("sample", samples("recorded"))
def test_recorded_reply_is_read_as_its_kind(sample):
    """Each reply that was recorded or documented becomes the right reply or error."""
    try:
        reply = read(sample)
    except ModelsLabError as error:
        reply = error
    assert sample["reply"] == type(reply).__name__
