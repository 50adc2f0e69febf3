"""ReplyCache: a cached reply equals a parsed one, and many tickets share it."""

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
from modelslab_async._parsing.reply import CachedProcessing, ReplyCache, as_processing

PIECES = ("processing", "success", "failed", "Model_Ready", "1", "12", "12345", "abcd", "a\\", '"')


def body_for(id_, **more):
    link = f"https://modelslab.com/api/v6/realtime/fetch/{id_}"
    return json.dumps({"status": "processing", "eta": 7, "id": id_, "link": link, **more}).encode()


def read_cached(cache, ticket, body, status_code=200):
    return cache.read(ticket, status_code=status_code, headers=(), body=body, received_at=None)


def read(ticket, body):
    return read_reply(ticket, status_code=200, body=body)


def test_equal_bodies_share_one_reply():
    """A thousand tickets share one object, and each sees its own id in the full reply."""
    cache = ReplyCache(FAMILIES)
    tickets = [Ticket("realtime", 10_000 + number) for number in range(1000)]
    replies = [read_cached(cache, ticket, body_for(ticket.id)) for ticket in tickets]
    assert 1 == len({id(reply) for reply in replies})
    for ticket, reply in zip(tickets, replies, strict=True):
        assert read(ticket, body_for(ticket.id)) == as_processing(reply, ticket)
        assert ticket.id == as_processing(reply, ticket).raw["id"]


def test_known_template_is_not_parsed_again(monkeypatch):
    """After the second ticket with a template, none is parsed."""
    cache = ReplyCache(FAMILIES)
    for number in (11111, 22222):
        read_cached(cache, Ticket("realtime", number), body_for(number))
    monkeypatch.setattr("modelslab_async._parsing.reply.read_reply", None)
    assert "processing" == read_cached(cache, Ticket("realtime", 33333), body_for(33333)).status


def test_ids_of_any_length_share_one_reply():
    """A longer id makes a longer body. Its first reply is parsed, and is then the shared one."""
    cache = ReplyCache(FAMILIES)
    numbers = (11111, 222_222, 3_333_333, 444_444)
    replies = [read_cached(cache, Ticket("realtime", n), body_for(n)) for n in numbers]
    assert 1 == len({id(reply) for reply in replies})


def test_reply_of_another_length_makes_no_template(monkeypatch):
    """A finished job's reply is not searched for its id, unless a running job's is as long."""
    cache = ReplyCache(FAMILIES)
    read_cached(cache, Ticket("realtime", 11111), body_for(11111))
    monkeypatch.setattr("modelslab_async._parsing.reply._make_template", None)
    done = body_for(22222, status="success", output=["https://x/22222.png"])
    assert isinstance(read_cached(cache, Ticket("realtime", 22222), done), Success)


@pytest.mark.parametrize("field", ["status", "eta"])
def test_id_that_equals_status_or_eta_is_read_again(field):
    """The template would otherwise give one ticket's status or eta to the next."""
    cache = ReplyCache(FAMILIES)
    for number in ("11111", "22222", "33333"):
        ticket, body = Ticket("realtime", number), body_for(number, **{field: number})
        reply = read_cached(cache, ticket, body)
        assert read(ticket, body) == as_processing(reply, ticket)
        assert number == (reply.status if field == "status" else f"{reply.eta:.0f}")


def test_terminal_reply_is_always_parsed():
    """Only "still processing" replies are cached."""
    cache = ReplyCache(FAMILIES)
    for number in (11111, 22222, 33333):
        ticket = Ticket("realtime", number)
        done = body_for(number, status="success", output=[f"https://x/{number}.png"])
        assert (f"https://x/{number}.png",) == read_cached(cache, ticket, done).output
        assert isinstance(read_cached(cache, ticket, body_for(number, status="failed")), Failed)


def test_families_with_different_rules_share_no_reply():
    """The same body may mean running to a training and done to a generation."""
    cache = ReplyCache(FAMILIES)
    for number in (11111, 22222, 33333):
        body = json.dumps({"status": "success", "id": number, "output": ["https://x"]}).encode()
        assert isinstance(read_cached(cache, Ticket("training", number), body), CachedProcessing)
        assert isinstance(read_cached(cache, Ticket("realtime", number), body), Success)


def test_cache_size_is_bounded():
    """A server whose replies all differ does not fill the memory."""
    cache = ReplyCache(FAMILIES)
    for number in range(3000):
        reply = read_cached(cache, Ticket("realtime", 12345), body_for(12345, tip=f"no {number}"))
        assert f"no {number}" == as_processing(reply, Ticket("realtime", 12345)).raw["tip"]
    assert len(cache._replies) <= 1024
    long = body_for(12345, tip="x" * 5000)
    assert isinstance(read_cached(cache, Ticket("realtime", 12345), long), Processing)


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
def test_cache_reads_the_same_as_read_reply(polls, rule):
    """Whatever ids and bodies come, in whatever order, the reply is the same."""
    families = {"x": Family(name="x", url="{base}/{id}", status=rule)}
    cache = ReplyCache(families)
    for id_, value in polls * 2:
        ticket = Ticket("x", id_)
        body = json.dumps(value).encode()
        try:
            plain = read_reply(ticket, status_code=200, body=body, families=families)
        except ModelsLabError as error:
            with pytest.raises(type(error)):
                read_cached(cache, ticket, body)
            continue
        reply = read_cached(cache, ticket, body)
        full = reply.to_processing(ticket) if isinstance(reply, CachedProcessing) else reply
        assert plain == full
        if isinstance(reply, CachedProcessing):
            assert (plain.status, plain.eta) == (reply.status, reply.eta)


def test_cached_reply_shows_neither_body_nor_registry():
    """A log line with it stays short, and holds nothing of the prompt."""
    cache = ReplyCache(FAMILIES)
    shown = repr(read_cached(cache, Ticket("realtime", 12345), body_for(12345, prompt="a fox")))
    assert "processing" in shown
    assert "fox" not in shown
    assert "controlnet" not in shown
