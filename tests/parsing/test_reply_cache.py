"""What is known by heart is what would have been read, and one copy serves many tickets."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import (
    FAMILIES,
    Failed,
    Family,
    ModelsLabError,
    Processing,
    Success,
    Ticket,
    read_reply,
)
from modelslab_async._parsing.reply_cache import CachedProcessing, ReplyCache, as_processing

PIECES = ("processing", "success", "failed", "Model_Ready", "1", "12", "12345", "abcd", "a\\", '"')


def body_for(id_, **more):
    link = f"https://modelslab.com/api/v6/realtime/fetch/{id_}"
    return json.dumps({"status": "processing", "eta": 7, "id": id_, "link": link, **more}).encode()


def looked(reader, ticket, body, status_code=200):
    return reader.read(ticket, status_code=status_code, headers=(), body=body, received_at=None)


def read(ticket, body):
    return read_reply(ticket, status_code=200, body=body)


def test_tickets_that_are_told_the_same_share_it():
    """A thousand tickets hold one reply between them, and each sees its own id in it."""
    reader = ReplyCache(FAMILIES)
    tickets = [Ticket("realtime", 10_000 + number) for number in range(1000)]
    replies = [looked(reader, ticket, body_for(ticket.id)) for ticket in tickets]
    assert 1 == len({id(reply) for reply in replies})
    for ticket, reply in zip(tickets, replies, strict=True):
        assert read(ticket, body_for(ticket.id)) == as_processing(reply, ticket)
        assert ticket.id == as_processing(reply, ticket).raw["id"]


def test_what_is_known_is_not_parsed_again(monkeypatch):
    """After the second ticket of a shape, no more of it is parsed."""
    reader = ReplyCache(FAMILIES)
    for number in (11111, 22222):
        looked(reader, Ticket("realtime", number), body_for(number))
    monkeypatch.setattr("modelslab_async._parsing.reply_cache.read_reply", None)
    assert "processing" == looked(reader, Ticket("realtime", 33333), body_for(33333)).status


@pytest.mark.parametrize("field", ["status", "eta"])
def test_an_id_that_stands_for_more_than_itself(field):
    """Where a status or an eta happens to be the id, the next ticket's is read anew."""
    reader = ReplyCache(FAMILIES)
    for number in ("11111", "22222", "33333"):
        ticket, body = Ticket("realtime", number), body_for(number, **{field: number})
        reply = looked(reader, ticket, body)
        assert read(ticket, body) == as_processing(reply, ticket)
        assert number == (reply.status if field == "status" else f"{reply.eta:.0f}")


def test_the_end_of_a_job_is_always_read():
    """What is over comes as a reply in full, however many were told the same."""
    reader = ReplyCache(FAMILIES)
    for number in (11111, 22222, 33333):
        ticket = Ticket("realtime", number)
        done = body_for(number, status="success", output=[f"https://x/{number}.png"])
        assert (f"https://x/{number}.png",) == looked(reader, ticket, done).output
        assert isinstance(looked(reader, ticket, body_for(number, status="failed")), Failed)


def test_families_that_read_otherwise_share_nothing():
    """The same body means one thing to a generation and another to a training."""
    reader = ReplyCache(FAMILIES)
    for number in (11111, 22222, 33333):
        body = json.dumps({"status": "success", "id": number, "output": ["https://x"]}).encode()
        assert isinstance(looked(reader, Ticket("training", number), body), CachedProcessing)
        assert isinstance(looked(reader, Ticket("realtime", number), body), Success)


def test_shapes_are_forgotten_in_the_end():
    """A server that never says the same twice fills no memory."""
    reader = ReplyCache(FAMILIES)
    for number in range(3000):
        reply = looked(reader, Ticket("realtime", 12345), body_for(12345, tip=f"no {number}"))
        assert f"no {number}" == as_processing(reply, Ticket("realtime", 12345)).raw["tip"]
    assert len(reader._replies) <= 1024
    long = body_for(12345, tip="x" * 5000)
    assert isinstance(looked(reader, Ticket("realtime", 12345), long), Processing)


bodies = st.recursive(
    st.sampled_from(PIECES) | st.integers(0, 99_999) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("status", "state", "eta", "id", "output", "message")), inner
        )
    ),
    max_leaves=8,
)


@given(
    st.lists(st.tuples(st.sampled_from(PIECES), bodies), min_size=1, max_size=6),
    st.sampled_from(["generation", "training", "workflow"]),
)
def test_nothing_reads_otherwise_for_being_known(polls, rule):
    """Whatever ids and bodies come, in whatever order: the reply is that of `read_reply`."""
    families = {"x": Family(name="x", url="{base}/{id}", status=rule)}
    reader = ReplyCache(families)
    for id_, value in polls * 2:
        ticket = Ticket("x", id_)
        body = json.dumps(value).encode()
        try:
            plain = read_reply(ticket, status_code=200, body=body, families=families)
        except ModelsLabError as error:
            with pytest.raises(type(error)):
                looked(reader, ticket, body)
            continue
        reply = looked(reader, ticket, body)
        seen = reply.to_processing(ticket) if isinstance(reply, CachedProcessing) else reply
        assert plain == seen
        if isinstance(reply, CachedProcessing):
            assert (plain.status, plain.eta) == (reply.status, reply.eta)
