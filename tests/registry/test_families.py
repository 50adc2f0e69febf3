"""Families: how a ticket becomes a call, and the table of all of them."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import FAMILIES, Family, Ticket

FACTS = json.loads(Path(__file__).parents[1].joinpath("facts", "families.json").read_text())
NAMES = """
images realtime image_editing interior video voice whisper three_d faceswap deepfake controlnet_v5
training v7_images v7_video_fusion v7_voice workflows legacy_v4_dreambooth legacy_v3_dreambooth
legacy_v3 enterprise_text_to_image enterprise_realtime enterprise_image_editing enterprise_interior
enterprise_three_d enterprise_face_gen enterprise_faceswap enterprise_deepfake enterprise_flux
enterprise_flux_2_dev enterprise_flux_klein enterprise_flux_headshot enterprise_flux_kontext_dev
enterprise_qwen enterprise_z_image_turbo enterprise_super_resolution enterprise_text_to_speech
enterprise_speech_to_text enterprise_image_to_video_ultra enterprise_ultra_video enterprise_video
enterprise_voice enterprise_nano_banana enterprise_qwen_edit_2_1 enterprise_minimax_h3
enterprise_ltx_2_3 enterprise_pony
""".split()  # noqa: SIM905 -- a column of quotation marks hides the names.
LEFT_OUT = {
    "v8_images",
    "mcp_v7_fetch_tools",
    "legacy_v6_fashion",
    "legacy_v6_ai_agent",
    "enterprise_uncensored_chat",
}
SITE = "https://modelslab.com/api/"
OLD_SITE = "https://stablediffusionapi.com/api/"


def test_the_table_is_complete():
    """Every family that can be fetched is there, under the name it is documented by."""
    assert NAMES == list(FAMILIES)
    assert [name for name, family in FAMILIES.items() if name != family.name] == []
    assert [] == [name for name, family in FAMILIES.items() if not family.doc.startswith("https:")]


ENTERPRISE = "v1/enterprise/"
# Only what does not follow the rule of its tier.
PATHS = {
    "images": "v6/images/fetch",
    "three_d": "v6/3d/fetch/{id}",
    "controlnet_v5": "v5/images/fetch/{id}",
    "training": "v3/fine_tune_status/{id}",
    "v7_images": "v7/images/fetch/{id}",
    "v7_video_fusion": "v7/video-fusion/fetch/{id}",
    "v7_voice": "v7/voice/fetch/{id}",
    "workflows": "v1/workflows/{workflow_id}/runs/{id}",
    "legacy_v4_dreambooth": "v4/dreambooth/fetch",
    "legacy_v3_dreambooth": "v3/dreambooth/fetch/{id}",
    "legacy_v3": "v3/fetch/{id}",
    "enterprise_text_to_image": ENTERPRISE + "fetch",
    "enterprise_three_d": ENTERPRISE + "3d/fetch/{id}",
    "enterprise_flux_2_dev": ENTERPRISE + "flux/fetch/{id}",
}
READ_BY_GET = {"controlnet_v5": "query", "workflows": "header"}


@pytest.mark.parametrize("name", NAMES)
def test_every_row(name):
    """URL, method, tier and the places of id and key, without any file to compare with."""
    family = FAMILIES[name]
    short = name.removeprefix("enterprise_")
    area = "v6/" if short == name else ENTERPRISE
    path = PATHS.get(name, f"{area}{short}/fetch/{{id}}")
    assert (OLD_SITE if name.startswith("legacy") else SITE) + path == family.with_hosts().url
    assert ("GET" if name in READ_BY_GET else "POST") == family.method
    assert READ_BY_GET.get(name, "body") == family.key_in
    assert ("enterprise" if name.startswith("enterprise") else "standard") == family.tier
    assert (None if "{id}" in path else "request_id") == family.id_field
    rules = {"training": "training", "workflows": "workflow"}
    assert rules.get(name, "generation") == family.status


def test_registry_has_every_documented_family():
    """Only the families that are left out on purpose are missing."""
    assert set(NAMES) == FACTS.keys() - LEFT_OUT
    assert FACTS.keys() >= LEFT_OUT


@pytest.mark.parametrize("name", NAMES)
def test_family_agrees_with_documented_facts(name):
    """URL, method, tier and the locations of id and key are the documented ones."""
    family = FAMILIES[name].with_hosts()
    facts = FACTS[name]
    assert (facts["method"], facts["url"]) == (family.method, family.url)
    assert (facts["tier"], facts["id_field"]) == (family.tier, family.id_field)
    # The page of controlnet_v5 names no key at all.
    assert facts["key_in"] in (family.key_in, None)


@pytest.mark.parametrize(
    ("ticket", "url", "fields"),
    [
        ("images:7", SITE + "v6/images/fetch", {"request_id": "7"}),
        ("image_editing:7", SITE + "v6/image_editing/fetch/7", {}),
        ("realtime:7", SITE + "v6/realtime/fetch/7", {}),
        ("interior:7", SITE + "v6/interior/fetch/7", {}),
        ("enterprise_interior:7", SITE + "v1/enterprise/interior/fetch/7", {}),
        ("legacy_v4_dreambooth:7", OLD_SITE + "v4/dreambooth/fetch", {"request_id": "7"}),
        ("workflows:wf-1/7", SITE + "v1/workflows/wf-1/runs/7", {}),
    ],
)
def test_a_ticket_becomes_a_call(ticket, url, fields):
    """The id stands in the path or in a field; the call holds no key and may be repeated."""
    ticket = Ticket.parse(ticket)
    call = FAMILIES[ticket.family].build_poll(ticket)
    assert (url, fields, True) == (call.url, call.fields, call.repeatable)
    assert "key" not in call.fields


PART = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=60
).filter(lambda text: text not in (".", "..") and text == text.strip())


@given(name=st.sampled_from(NAMES), parts=st.lists(PART, min_size=2, max_size=2))
def test_an_id_is_never_more_than_its_segment(name, parts):
    """No id changes the host, the path before it or the number of segments, or makes a query."""
    family = FAMILIES[name]
    wanted = max(1, len(family.id_parts))
    ticket = Ticket(name, "/".join(parts[:wanted]))
    call = family.build_poll(ticket)
    places = {part: f"\0{n}" for n, part in enumerate(family.id_parts)}
    plain = urlsplit(family.with_hosts().url.format(**places))
    made = urlsplit(call.url)
    assert (plain.scheme, plain.netloc, "", "") == (
        made.scheme,
        made.netloc,
        made.query,
        made.fragment,
    )
    expected = [
        parts[int(segment[1:])] if segment.startswith("\0") else segment
        for segment in plain.path.split("/")
    ]
    assert expected == [unquote(segment) for segment in made.path.split("/")]
    assert call.url.isascii()
    assert all(value == ticket.id for value in call.fields.values())


@pytest.mark.parametrize(
    ("ticket", "complaint"),
    [
        ("workflows:7", r"2 part\(s\), written 'workflow_id/id'"),
        ("workflows:a/b/c", r"2 part\(s\)"),
        ("images:a/b", r"1 part\(s\), written 'id'"),
        ("realtime:a/b", r"1 part\(s\), written 'id'"),
    ],
)
def test_an_id_has_the_parts_of_its_family(ticket, complaint):
    """A slash parts an id only where the family's URL has two places."""
    ticket = Ticket.parse(ticket)
    with pytest.raises(ValueError, match=complaint):
        FAMILIES[ticket.family].build_poll(ticket)


def test_a_user_adds_and_replaces_families():
    """The table is never changed; a union with it makes another one."""
    own = Family(name="v8_images", url="{base}/v8/images/fetch/{id}")
    table = FAMILIES | {"v8_images": own}
    assert SITE + "v8/images/fetch/5" == table["v8_images"].build_poll(Ticket("v8_images", 5)).url
    assert "v8_images" not in FAMILIES
    with pytest.raises(TypeError):
        FAMILIES["v8_images"] = own


def test_hosts_move_apart():
    """The two hosts of the service are moved by two names."""
    moved = {name: FAMILIES[name].with_hosts(base="http://a", legacy="http://b") for name in NAMES}
    assert "http://a/v6/realtime/fetch/{id}" == moved["realtime"].url
    assert "http://b/v3/fetch/{id}" == moved["legacy_v3"].url


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"url": "/v8/fetch/{id}"}, "starts with"),
        ({"url": "ftp://x/{id}"}, "starts with"),
        ({"url": "{base}/fetch/{id}?a=1"}, "no query"),
        ({"url": "{base}/fetch?id={id}"}, "no query"),
        ({"url": "{base}/fetch#{id}"}, "no fragment"),
        ({"url": "https://{id}.example/fetch"}, "id in the path"),
        ({"url": "https://example:{id}/fetch"}, "id in the path"),
        ({"url": "{base}/fetch"}, "exactly one of both"),
        ({"url": "{base}/fetch/{id}", "id_field": "id"}, "exactly one of both"),
        ({"url": "{base}/fetch/{id}", "method": "GET"}, "a GET carries no body"),
        ({"url": "{base}/fetch/{id}", "method": "PUT"}, "method"),
        ({"url": "{base}/fetch/{id}", "key_in": "cookie"}, "key_in"),
        ({"url": "{base}/fetch/{id}", "status": "mood"}, "status"),
        ({"url": "{base}/fetch/{id}", "tier": "gold"}, "tier"),
        ({"url": "{base}/fetch/{id}", "name": "a b"}, "name"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(row, complaint):
    """A family says at once what is wrong with it."""
    with pytest.raises(ValueError, match=complaint):
        Family(**{"name": "own"} | row)
