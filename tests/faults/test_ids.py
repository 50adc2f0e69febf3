"""Ids are data: no id changes where a request goes, or what it says beside the id."""

import asyncio
import json
import os
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelslab_async import Client, Ticket
from modelslab_async.emulator import Emulator, Traffic, run_faulty_server

# `FAULTS_EXAMPLES=10000 pytest tests/faults/test_ids.py` tries more.
EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "125"))
NASTY = "/\\?#&=%.:@;, +~!$'()*[]{}|^`\"<>\u00e9\u2025\uff0f\u2044\U0001f600\u202e\ufeff"
FAMILIES = {
    "realtime": "/api/v6/realtime/fetch/",
    "images": "/api/v6/images/fetch",
    "controlnet_v5": "/api/v5/images/fetch/",
    "workflows": "/api/v1/workflows/",
}
PIECES = ("..", ".", "//", "%2e%2e", "%2f", "%00", "?key=", "#", "@elsewhere.invalid", "\r\n", "a")
IDS = st.one_of(
    st.text(min_size=1, max_size=40),
    st.text(alphabet=NASTY, min_size=1, max_size=30),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join),
)


def valid_ticket(family, id_):
    """Return the ticket, or None if the id is invalid."""
    parts = 2 if family == "workflows" else 1
    try:
        ticket = Ticket(family, id_ if parts == 1 else f"wf/{id_}")
    except ValueError:
        return None
    return ticket if ticket.id.count("/") + 1 == parts else None


@pytest.mark.parametrize("family", FAMILIES)
def test_no_id_changes_the_target_of_a_request(family):
    """Prefix, host and query stay the same bytes, and the id arrives unchanged."""
    traffic, runner = Traffic(), asyncio.Runner()
    server = run_faulty_server(Emulator(), traffic=traffic)
    url = runner.run(server.__aenter__())
    host = url.split("/")[2]
    client = Client("a-key-1234", base_url=url, legacy_base_url=url)

    async def poll(ticket):
        try:
            await client.fetch(ticket)
        except Exception as error:
            # An odd id may only lead to the reply "there is no such id".
            raise AssertionError(f"{ticket!r}: {error!r}") from error

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
    )
    @given(IDS)
    def check(id_):
        ticket = valid_ticket(family, id_)
        if ticket is None:
            return
        sent = len(traffic.requests)
        runner.run(poll(ticket))
        assert sent + 1 == len(traffic.requests)
        request = traffic.requests[-1]
        path, _, query = request.target.partition("?")
        assert host == request.headers["host"]
        assert ("key=a-key-1234" if family == "controlnet_v5" else "") == query
        assert request.target.isascii()
        assert path.startswith(FAMILIES[family])
        rest = path.removeprefix(FAMILIES[family])
        match family:
            case "images":
                assert "" == rest
                assert {"request_id": id_, "key": "a-key-1234"} == json.loads(request.body)
            case "workflows":
                assert ["wf", "runs", id_] == list(map(unquote, rest.split("/")))
            case _:
                assert "/" not in rest
                assert id_ == unquote(rest)

    try:
        check()
    finally:
        runner.run(client.aclose())
        runner.run(server.__aexit__(None, None, None))
        runner.close()
    assert traffic.requests
