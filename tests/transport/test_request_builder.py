"""The request of a poll is the one of its family's call, whatever the id and the key are."""

import json
from urllib.parse import urlsplit

import pytest

from modelslab_async import FAMILIES, Family, Ticket
from modelslab_async._polling.status_client import StatusClient
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.sender import RequestBuilder, Sender

KEYS = Credentials(standard='a-key/with"marks', enterprise="another-key-0")
OWN = [
    Family(name="own_header", url="{base}/own/{id}", key_in="header", method="GET"),
    Family(name="own_query", url="{base}/own/{id}/state", key_in="query", method="GET"),
    Family(name="own_two", url="{base}/own/{id}/of/{part}"),
    Family(name="own_body", url="{base}/own", id_field="job", key_in="header"),
]
TABLE = {family.name: family.with_hosts() for family in (*FAMILIES.values(), *OWN)}


def ids_of(family):
    plain = ["13443927", "a1B2", "0", "ü7", "a b", "a-b_c", "%2e", 'q"uote', "a?b=c#d", "{id}"]
    return [f"{id_}/{id_}x" for id_ in plain] if len(family.id_parts) > 1 else plain


@pytest.mark.parametrize("name", TABLE)
def test_poll_request_equals_its_call(name):
    """Filled into a template or built anew: the same bytes for every id, at any time."""
    family, requests = TABLE[name], RequestBuilder(KEYS)
    for id_ in [*ids_of(family), *ids_of(family)]:
        ticket = Ticket(name, id_)
        assert requests.build(family.build_poll(ticket)) == requests.poll(family, ticket)


def test_id_in_the_body_with_key_elsewhere():
    """A key in the header or the query leaves the body to the id."""
    for key_in in ("header", "query", "body"):
        family = Family(name="own", url="{base}/own", id_field="job", key_in=key_in).with_hosts()
        body = json.loads(RequestBuilder(KEYS).poll(family, Ticket("own", 5)).body)
        assert ({"job": "5"} | ({"key": KEYS.standard} if key_in == "body" else {})) == body


def test_family_under_another_name_keeps_its_url_and_key():
    """Tickets name a family as the registry does: two families with equal names stay two."""
    ours = Family(name="images", url="https://own.example/fetch/{id}", tier="enterprise")
    table, requests = {"ours": ours, "images": TABLE["images"]}, RequestBuilder(KEYS)
    status_client = StatusClient(table, Sender(None, KEYS, timeout=1.0))
    for name, family in table.items():
        ticket = Ticket(name, 5)
        assert requests.build(family.build_poll(ticket)) == requests.poll(family, ticket)
        assert (family.tier, urlsplit(family.url).netloc) == status_client.tier_and_host_of(ticket)


@pytest.mark.parametrize("id_", ["1", "1/2/3", "a-b"])
def test_unfitting_id_builds_no_request(id_):
    """A family with two ids takes no ticket with one or three, however plain they are."""
    with pytest.raises(ValueError, match="2 part"):
        RequestBuilder(KEYS).poll(TABLE["own_two"], Ticket("own_two", id_))
