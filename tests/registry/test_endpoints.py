"""Endpoints: how parameters become a call, what is refused before, and the table of all."""

import json
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import ENDPOINTS, FAMILIES, Endpoint

FACTS = json.loads(Path(__file__).parents[1].joinpath("facts", "endpoints.json").read_text())
SITE = "https://modelslab.com/api/"
OLD_SITE = "https://stablediffusionapi.com/api/"
UTILITIES = {
    "general/request_count",
    "general/wallet_balance",
    "general/base64_to_url",
    "image_editing/base64_to_url",
    "video/base64_to_url",
    "voice/base64_to_url",
    "three_d/base64_to_url",
}
QUEUED = [name for name, endpoint in ENDPOINTS.items() if endpoint.resolved_by]
# Written down as required somewhere, yet somewhere else as optional, as having a default, or as
# unknown: nobody is stopped for their sake. The list is long so that no row changes unseen.
SOFTENED = {
    "images/controlnet": "prompt",
    "images/img2img": "model_id prompt",
    "image_editing/fashion": "cloth_type",
    "image_editing/flux_headshot": "seed",
    "interior/scenario": "prompt",
    "training/lora_fine_tune": "training_type max_train_steps",
    "video/img2video_ultra": "model_id",
    "video/text2video_ultra": "model_id",
    "voice/speech_to_text": "language",
    "voice/text_to_speech": "language",
    "v7_video_fusion/motion-control": "init_video character_orientation",
    "v7_voice/create-dubbing": "model_id",
    "v7_voice/song-extender": "model_id",
    "v7_voice/song-inpaint": "model_id prompt",
    "v7_voice/speech-to-speech": "voice_id",
    "v7_voice/text-to-speech": "voice_id",
    "enterprise_three_d/text_to_3d": "num_inference_steps foreground_ratio resolution",
    "enterprise_text_to_image/super_resolution": "scale",
    "enterprise_face_gen/make_gen": "safety_checker s_scale seed",
    "enterprise_flux_headshot/make_gen": "seed",
    "enterprise_image_editing/face_gen": (
        "width height num_inference_steps guidance_scale style s_scale samples safety_checker "
        "safety_checker_type base64 webhook track_id"
    ),
    "enterprise_image_editing/fashion": (
        "negative_prompt num_inference_steps guidance_scale seed webhook track_id"
    ),
    "enterprise_image_editing/head_shot": (
        "negative_prompt num_inference_steps guidance_scale seed webhook track_id"
    ),
    "enterprise_image_editing/qwen_edit": "base64 webhook track_id",
}


def a_row(**more):
    row = {"name": "v8_images/paint", "url": "{base}/v8/paint", "resolved_by": "v8_images"}
    return Endpoint(**{**row, **more})


def filled(endpoint):
    """Parameters that the row takes: what it requires, and the first of each group."""
    return dict.fromkeys((*endpoint.required, *(group[0] for group in endpoint.any_of)), "x")


def documented(url, field):
    """The parameters that the facts of an endpoint list in one field."""
    return set(FACTS[url].get(field, "").split())


def test_every_name_is_its_row_s_and_every_ticket_has_a_family():
    """Names and URLs are unique, and tickets belong to families that can be fetched."""
    assert [*ENDPOINTS] == [endpoint.name for endpoint in ENDPOINTS.values()]
    assert len(ENDPOINTS) == len({endpoint.url for endpoint in ENDPOINTS.values()})
    assert UTILITIES == ENDPOINTS.keys() - QUEUED
    assert set() == {ENDPOINTS[name].resolved_by for name in QUEUED} - FAMILIES.keys()
    assert [] == [row.name for row in ENDPOINTS.values() if not row.doc.startswith("https:")]
    assert [] == [name for name in QUEUED if not ENDPOINTS[name].output and "training" not in name]


@pytest.mark.parametrize("name", QUEUED)
def test_a_row_has_the_tier_and_makes_a_part_of_what_its_family_makes(name):
    """One key serves the submit and the looks, and nothing else comes out of a family."""
    endpoint = ENDPOINTS[name]
    family = FAMILIES[endpoint.resolved_by]
    assert family.tier == endpoint.tier
    assert family.key_in == endpoint.key_in or family.name == "workflows"
    assert set(endpoint.output) <= set(family.output)


def test_registry_has_every_documented_endpoint():
    """None is missing or made up. Endpoints of v8 are not among the facts: no page describes them."""
    queued = {url for url, facts in FACTS.items() if facts["family"]}
    assert queued == {ENDPOINTS[name].with_hosts().url for name in QUEUED}
    utilities = {ENDPOINTS[name].with_hosts().url for name in UTILITIES}
    assert utilities == FACTS.keys() - queued


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint_agrees_with_documented_facts(name):
    """Parameters, method and family are the documented ones; less may be required, never more."""
    endpoint = ENDPOINTS[name]
    url = endpoint.with_hosts().url
    required = documented(url, "required")
    assert required | documented(url, "optional") == set(endpoint.parameters)
    assert FACTS[url]["method"] == endpoint.method
    assert FACTS[url]["family"] == endpoint.resolved_by
    softer = set(SOFTENED.get(name, "").split())
    alternatives = {parameter for group in endpoint.any_of for parameter in group}
    assert required - softer - alternatives == set(endpoint.required)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_what_a_row_requires_is_enough(name):
    """Each endpoint starts with its required parameters alone, and not without one of them."""
    endpoint = ENDPOINTS[name]
    params = filled(endpoint)
    call = endpoint.build_submit(params)
    assert (SITE if "{base}" in endpoint.url else OLD_SITE) in call.url
    assert "{" not in call.url
    assert "key" not in call.fields
    assert (endpoint.tier, endpoint.key_in, "POST") == (call.tier, call.key_in, call.method)
    for left_out in params:
        with pytest.raises(ValueError, match=f"needs {left_out}"):
            endpoint.build_submit({**params, left_out: None})


def test_parameters_pass_untouched():
    """Values are the caller's; what is None is left out, what is falsy is not."""
    row = ENDPOINTS["realtime/text2img"]
    call = row.build_submit({"prompt": "a lighthouse", "width": "512", "samples": 0, "seed": None})
    assert SITE + "v6/realtime/text2img" == call.url
    assert {"prompt": "a lighthouse", "width": "512", "samples": 0} == call.fields
    assert not call.repeatable


def test_only_questions_may_be_repeated():
    """Work is paid for and files are stored; two questions do no harm."""
    repeatable = {
        name for name, row in ENDPOINTS.items() if row.build_submit(filled(row)).repeatable
    }
    assert {"general/request_count", "general/wallet_balance"} == repeatable


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({}, "needs prompt, got nothing"),
        ({"width": 512}, "needs prompt, got width"),
        ({"prompt": None}, "needs prompt, got nothing"),
        ({"promt": "x"}, "expects 'prompt', got 'promt'"),
        ({"Prompt": "x"}, "expects 'prompt', got 'Prompt'"),
        ({"PROMPT": "x"}, "expects 'prompt', got 'PROMPT'"),
        ({"prompt": "x", "witdh": 512}, "expects 'width', got 'witdh'"),
        ({"prompt": "x", "negativ_prompt": ""}, "expects 'negative_prompt'"),
        ({"prompt": "x", "negativeprompt": ""}, "expects 'negative_prompt'"),
        ({"prompt": "x", "num_inference_step": 20}, "expects 'num_inference_steps'"),
        ({"prompt": "x", "webhok": None}, "expects 'webhook'"),
        ({"prompt": "x", "key": "secret"}, "without `key`"),
    ],
)
def test_what_is_missing_or_misspelled_is_refused(params, complaint):
    """The message names what was expected, what came and where the names are listed."""
    with pytest.raises(ValueError, match=complaint) as caught:
        ENDPOINTS["realtime/text2img"].check(params)
    message = str(caught.value)
    assert "endpoints realtime/text2img" in message or "leave it out" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "name", ["prompt_2", "init_image_3", "true_guidance_scale", "style", "speed", "images", "zzz"]
)
def test_a_new_parameter_passes(name):
    """What the service adds, or takes elsewhere, is nobody's misspelling."""
    call = ENDPOINTS["realtime/img2img"].build_submit({"prompt": "x", "init_image": "y", name: 1})
    assert 1 == call.fields[name]


def test_one_of_a_group_is_enough():
    """Alternatives are named together, and any of them will do."""
    endpoint = ENDPOINTS["voice/vocal_isolator"]
    assert {"init_audio": "a"} == endpoint.build_submit({"init_audio": "a"}).fields
    assert {"init_video": "v"} == endpoint.build_submit({"init_video": "v"}).fields
    with pytest.raises(ValueError, match="needs init_video or init_audio, got seed"):
        endpoint.build_submit({"seed": 1})


def test_a_workflow_takes_its_own_words():
    """Its id goes into the path, its key into a header, and no name is misspelled."""
    call = ENDPOINTS["workflows/run"].build_submit({"workflow_id": "wf/1", "promt": "x"})
    assert SITE + "v1/workflows/wf%2F1/run" == call.url
    assert ({"promt": "x"}, "header") == (call.fields, call.key_in)
    for bad in ("", " ", ".", ".."):
        with pytest.raises(ValueError, match="as one segment"):
            ENDPOINTS["workflows/run"].build_submit({"workflow_id": bad})


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers(), max_size=4))
def test_no_parameters_do_anything_but_start_or_be_refused(params):
    """Whatever the names are, there is a call with exactly them or a ValueError."""
    row = a_row(required=("prompt",), any_of=(("a", "b"),))
    try:
        call = row.build_submit(params)
    except ValueError:
        return
    assert {name: value for name, value in params.items() if value is not None} == call.fields


def test_a_user_adds_endpoints_and_loosens_them():
    """The table is never changed; a union makes another, and a row may require less."""
    table = ENDPOINTS | {"v8_images/paint": a_row()}
    assert SITE + "v8/paint" == table["v8_images/paint"].build_submit({}).url
    assert "v8_images/paint" not in ENDPOINTS
    loose = evolve(ENDPOINTS["realtime/text2img"], required=())
    assert {"seed": 1} == loose.build_submit({"seed": 1}).fields
    with pytest.raises(TypeError):
        ENDPOINTS["v8_images/paint"] = a_row()


def test_hosts_move_apart():
    """The two hosts of the service are moved by two names."""
    moved = [
        ENDPOINTS[name]
        .with_hosts(base="http://a", legacy="http://b")
        .build_submit({"prompt": "x"})
        .url
        for name in ("realtime/text2img", "legacy_v3/text2img")
    ]
    assert ["http://a/v6/realtime/text2img", "http://b/v3/text2img"] == moved


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"name": "paint"}, "name"),
        ({"name": "v8/paint/more"}, "name"),
        ({"url": "/v8/paint"}, "starts with"),
        ({"url": "{base}/v8/paint?key=1"}, "no query"),
        ({"url": "{base}/{album}/paint"}, "album in its url"),
        ({"method": "PUT"}, "method"),
        ({"method": "GET"}, "a GET carries no body"),
        ({"key_in": "cookie"}, "key_in"),
        ({"tier": "gold"}, "tier"),
    ],
)
def test_a_wrong_row_is_refused(row, complaint):
    """A row that could not work says what is wrong with it."""
    with pytest.raises(ValueError, match=complaint):
        a_row(**row)


# What the documents call a link to an image, a video or a sound, or several of them.
OF_FILES = """
audio_url cloth_image control_image face_image image images init_audio init_image init_image_2
init_video ip_adapter_image mask_image object_image reference_image target_audio target_image url
watermark_image
"""


def test_what_takes_a_file():
    """Of all parameters of work that is queued, those that the documents describe as links."""
    found = {
        name
        for endpoint in map(ENDPOINTS.get, QUEUED)
        for name in endpoint.parameters
        if endpoint.takes_file(name)
    }
    assert set(OF_FILES.split()) == found


def test_a_row_may_say_that_a_parameter_takes_a_file():
    """Where its name does not; and where the caller names them, each unknown one does."""
    assert a_row(files=("portrait",)).takes_file("portrait")
    assert not a_row().takes_file("portrait")
    assert a_row().takes_file("init_image_7")
    named = a_row(allows_extra=True, optional=("prompt",))
    assert [True, False] == [named.takes_file(name) for name in ("portrait", "prompt")]


@pytest.mark.parametrize("name", QUEUED)
def test_documented_links_take_files(name):
    """A parameter described as a link takes a file; one that holds no text or list takes none."""
    endpoint = ENDPOINTS[name]
    url = endpoint.with_hosts().url
    files = set(filter(endpoint.takes_file, endpoint.parameters))
    assert set() == files & documented(url, "not_text")
    assert set() == documented(url, "links") - files - {"webhook"}
