"""Family and FAMILIES: a ticket becomes a request, and the rows match the documentation."""

import inspect
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import FAMILIES, Client, Downloads, Family, Ticket
from modelslab_async.emulator import Emulator

FACTS = json.loads(Path(__file__).parents[1].joinpath("facts", "families.json").read_text())
NAMES = """
images realtime image_editing interior video voice whisper three_d faceswap deepfake controlnet_v5
training v7_images v7_video_fusion v7_voice v8_images workflows legacy_v4_dreambooth
legacy_v3_dreambooth legacy_v3 enterprise_text_to_image enterprise_realtime
enterprise_image_editing enterprise_interior
enterprise_three_d enterprise_face_gen enterprise_faceswap enterprise_deepfake enterprise_flux
enterprise_flux_2_dev enterprise_flux_klein enterprise_flux_headshot enterprise_flux_kontext_dev
enterprise_qwen enterprise_z_image_turbo enterprise_super_resolution enterprise_text_to_speech
enterprise_speech_to_text enterprise_image_to_video_ultra enterprise_ultra_video enterprise_video
enterprise_voice enterprise_nano_banana enterprise_qwen_edit_2_1 enterprise_minimax_h3
enterprise_ltx_2_3 enterprise_pony
""".split()  # noqa: SIM905 -- a column of quotation marks hides the names.
LEFT_OUT = {
    "mcp_v7_fetch_tools",
    "legacy_v6_fashion",
    "legacy_v6_ai_agent",
    "enterprise_uncensored_chat",
}
BASE_URL = "https://modelslab.com/api/"
LEGACY_URL = "https://stablediffusionapi.com/api/"


def test_registry_has_the_expected_families():
    """Each family has its name, and a documentation page or a note that it has none."""
    assert NAMES == list(FAMILIES)
    assert [name for name, family in FAMILIES.items() if name != family.name] == []
    assert {"v8_images"} == {name for name, family in FAMILIES.items() if not family.doc}
    assert FAMILIES["v8_images"].note.startswith(
        "Unverified: the documentation does not describe it."
    )
    assert {"https"} == {row.doc.partition(":")[0] for row in FAMILIES.values() if row.doc}


ENTERPRISE = "v1/enterprise/"
# Only the paths that do not follow the pattern of their tier.
PATHS = {
    "images": "v6/images/fetch",
    "three_d": "v6/3d/fetch/{id}",
    "controlnet_v5": "v5/images/fetch/{id}",
    "training": "v3/fine_tune_status/{id}",
    "v7_images": "v7/images/fetch/{id}",
    "v7_video_fusion": "v7/video-fusion/fetch/{id}",
    "v7_voice": "v7/voice/fetch/{id}",
    "v8_images": "v8/images/fetch/{id}",
    "workflows": "v1/workflows/{workflow_id}/runs/{id}",
    "legacy_v4_dreambooth": "v4/dreambooth/fetch",
    "legacy_v3_dreambooth": "v3/dreambooth/fetch/{id}",
    "legacy_v3": "v3/fetch/{id}",
    "enterprise_text_to_image": ENTERPRISE + "fetch",
    "enterprise_three_d": ENTERPRISE + "3d/fetch/{id}",
    "enterprise_flux_2_dev": ENTERPRISE + "flux/fetch/{id}",
}
KEY_LOCATION_OF_GET = {"controlnet_v5": "query", "workflows": "header"}


@pytest.mark.parametrize("name", NAMES)
def test_family_has_expected_url_method_and_key_location(name):
    """The expected values are written down here, without a file to compare with."""
    family = FAMILIES[name]
    short = name.removeprefix("enterprise_")
    prefix = "v6/" if short == name else ENTERPRISE
    path = PATHS.get(name, f"{prefix}{short}/fetch/{{id}}")
    assert (LEGACY_URL if name.startswith("legacy") else BASE_URL) + path == family.with_hosts().url
    assert ("GET" if name in KEY_LOCATION_OF_GET else "POST") == family.method
    assert KEY_LOCATION_OF_GET.get(name, "body") == family.key_in
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
        ("images:7", BASE_URL + "v6/images/fetch", {"request_id": "7"}),
        ("image_editing:7", BASE_URL + "v6/image_editing/fetch/7", {}),
        ("realtime:7", BASE_URL + "v6/realtime/fetch/7", {}),
        ("interior:7", BASE_URL + "v6/interior/fetch/7", {}),
        ("enterprise_interior:7", BASE_URL + "v1/enterprise/interior/fetch/7", {}),
        ("legacy_v4_dreambooth:7", LEGACY_URL + "v4/dreambooth/fetch", {"request_id": "7"}),
        ("workflows:wf-1/7", BASE_URL + "v1/workflows/wf-1/runs/7", {}),
    ],
)
def test_ticket_becomes_a_poll_request(ticket, url, fields):
    """The id goes into the path or a field, and the request is repeatable and holds no key."""
    ticket = Ticket.parse(ticket)
    call = FAMILIES[ticket.family].build_poll(ticket)
    assert (url, fields, True) == (call.url, call.fields, call.repeatable)
    assert "key" not in call.fields


PART = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=60
).filter(lambda text: text not in (".", "..") and text == text.strip())


@given(name=st.sampled_from(NAMES), parts=st.lists(PART, min_size=2, max_size=2))
def test_id_stays_within_its_path_segment(name, parts):
    """No id changes the host, the other segments or their number, or adds a query."""
    family = FAMILIES[name]
    part_count = max(1, len(family.id_parts))
    ticket = Ticket(name, "/".join(parts[:part_count]))
    call = family.build_poll(ticket)
    marks = {part: f"\0{n}" for n, part in enumerate(family.id_parts)}
    template = urlsplit(family.with_hosts().url.format(**marks))
    actual = urlsplit(call.url)
    assert (template.scheme, template.netloc, "", "") == (
        actual.scheme,
        actual.netloc,
        actual.query,
        actual.fragment,
    )
    expected = [
        parts[int(segment[1:])] if segment.startswith("\0") else segment
        for segment in template.path.split("/")
    ]
    assert expected == [unquote(segment) for segment in actual.path.split("/")]
    assert call.url.isascii()
    assert all(value == ticket.id for value in call.fields.values())


@pytest.mark.parametrize(
    ("ticket", "message"),
    [
        ("workflows:7", r"2 part\(s\), written 'workflow_id/id'"),
        ("workflows:a/b/c", r"2 part\(s\)"),
        ("images:a/b", r"1 part\(s\), written 'id'"),
        ("realtime:a/b", r"1 part\(s\), written 'id'"),
    ],
)
def test_id_with_wrong_number_of_parts_is_refused(ticket, message):
    """A slash is valid only in a family whose URL has two placeholders."""
    ticket = Ticket.parse(ticket)
    with pytest.raises(ValueError, match=message):
        FAMILIES[ticket.family].build_poll(ticket)


def test_user_can_add_families():
    """A union makes a new mapping, and the registry itself is read-only."""
    own = Family(name="v9_images", url="{base}/v9/images/fetch/{id}")
    table = FAMILIES | {"v9_images": own}
    assert (
        BASE_URL + "v9/images/fetch/5" == table["v9_images"].build_poll(Ticket("v9_images", 5)).url
    )
    assert "v9_images" not in FAMILIES
    with pytest.raises(TypeError):
        FAMILIES["v9_images"] = own


def test_both_hosts_can_be_replaced():
    """Each of the two hosts of the service has its own argument."""
    moved = {name: FAMILIES[name].with_hosts(base="http://a", legacy="http://b") for name in NAMES}
    assert "http://a/v6/realtime/fetch/{id}" == moved["realtime"].url
    assert "http://b/v3/fetch/{id}" == moved["legacy_v3"].url


@pytest.mark.parametrize(
    ("row", "message"),
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
        (
            {"url": "{base}/fetch/{id}", "key_in": "cookie"},
            "key_in of 'own' is 'body', 'header' or 'query', got 'cookie'",
        ),
        ({"url": "{base}/fetch/{id}", "status": "mood"}, "status"),
        ({"url": "{base}/fetch/{id}", "tier": "gold"}, "tier"),
        ({"url": "{base}/fetch/{id}", "name": "a b"}, "such as 'v9_images', got 'a b'"),
    ],
)
def test_invalid_family_is_refused(row, message):
    """The message is one sentence, which says what is wrong with the row."""
    with pytest.raises(ValueError, match=message) as caught:
        Family(**{"name": "own"} | row)
    assert (str(caught.value),) == caught.value.args


@pytest.mark.parametrize("public", [Client, Downloads, Emulator])
def test_signature_of_public_class_shows_no_registry(public):
    """`help` shows the arguments on a page, not a registry of ninety thousand characters."""
    assert len(str(inspect.signature(public))) < 2000
