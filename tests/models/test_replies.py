"""Replies are values: large bodies count for equality, but neither for hashes nor for texts."""

import pytest

from modelslab_async import Failed, Processing, Success, Ticket

TICKET = Ticket("images", 1)


@pytest.mark.parametrize("kind", [Processing, Success, Failed])
def test_raw_body_is_compared_but_not_shown_or_hashed(kind):
    """A body may hold megabytes, and a dictionary cannot be hashed."""
    reply, other = (kind(ticket=TICKET, raw={"a": text}) for text in ("large-body", "other"))
    assert reply != other
    assert hash(reply) == hash(other)
    assert "large-body" not in repr(reply)


def test_parameters_of_a_success_are_compared_but_not_shown_or_hashed():
    """They may hold the prompt."""
    reply, other = (Success(ticket=TICKET, meta={"prompt": text}) for text in ("a fox", "an owl"))
    assert reply != other
    assert hash(reply) == hash(other)
    assert "fox" not in repr(reply)
