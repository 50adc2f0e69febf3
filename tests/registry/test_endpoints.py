"""Endpoint and ENDPOINTS: parameters become a request, and the rows match the documentation."""

import json
import math
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import ENDPOINTS, FAMILIES, Endpoint

FACTS = json.loads(Path(__file__).parents[1].joinpath("facts", "endpoints.json").read_text())
BASE_URL = "https://modelslab.com/api/"
LEGACY_URL = "https://stablediffusionapi.com/api/"
UTILITIES = {
    "general/request_count",
    "general/wallet_balance",
    "general/model_list",
    "general/base64_crop",
    "general/nsfw_image_check",
    "general/clear_queue",
    "voice/voice_list",
    "voice/voice_upload",
    "enterprise_voice/voice_upload",
    "enterprise_text_to_image/nsfw_image_check",
    "general/base64_to_url",
    "image_editing/base64_to_url",
    "video/base64_to_url",
    "voice/base64_to_url",
    "three_d/base64_to_url",
}
QUEUED = [name for name, endpoint in ENDPOINTS.items() if endpoint.resolved_by]
# Parameters that one document requires, but that another one lists as optional or with a default,
# or does not list. They are optional here. The list is complete, so that no row changes unseen.
NOT_REQUIRED_HERE = {
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


def make_endpoint(**more):
    row = {"name": "v9_images/paint", "url": "{base}/v9/paint", "resolved_by": "v9_images"}
    return Endpoint(**{**row, **more})


def required_params(endpoint):
    """The required parameters, and the first of each group of alternatives."""
    return dict.fromkeys((*endpoint.required, *(group[0] for group in endpoint.any_of)), "x")


def documented(url, field):
    """The parameters that the facts of an endpoint list in one field."""
    return set(FACTS[url].get(field, "").split())


def test_endpoints_are_unique_and_resolve_to_known_families():
    """Names and URLs are unique, and each endpoint's tickets can be polled."""
    assert [*ENDPOINTS] == [endpoint.name for endpoint in ENDPOINTS.values()]
    assert len(ENDPOINTS) == len({endpoint.url for endpoint in ENDPOINTS.values()})
    assert UTILITIES == ENDPOINTS.keys() - QUEUED
    assert set() == {ENDPOINTS[name].resolved_by for name in QUEUED} - FAMILIES.keys()
    assert [] == [name for name in QUEUED if not ENDPOINTS[name].output and "training" not in name]


@pytest.mark.parametrize("name", QUEUED)
def test_endpoint_matches_tier_and_output_of_its_family(name):
    """The same key serves submit and poll, and the output is part of the family's."""
    endpoint = ENDPOINTS[name]
    family = FAMILIES[endpoint.resolved_by]
    assert family.tier == endpoint.tier
    assert family.key_in == endpoint.key_in or family.name == "workflows"
    assert set(endpoint.output) <= set(family.output)


def test_endpoint_without_a_page_is_marked_as_unverified():
    """A row names its page, or its note says that the documentation does not describe it."""
    unverified = {url for url, facts in FACTS.items() if "unverified" in facts}
    without_page = [row for row in ENDPOINTS.values() if not row.doc]
    assert unverified == {row.with_hosts().url for row in without_page}
    assert [] == [row.name for row in without_page if not row.note.startswith("Unverified: ")]
    assert {"https"} == {row.doc.partition(":")[0] for row in ENDPOINTS.values() if row.doc}


def test_registry_has_every_known_endpoint():
    """None is missing or made up."""
    queued = {url for url, facts in FACTS.items() if facts["family"]}
    assert queued == {ENDPOINTS[name].with_hosts().url for name in QUEUED}
    utilities = {ENDPOINTS[name].with_hosts().url for name in UTILITIES}
    assert utilities == FACTS.keys() - queued


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint_agrees_with_documented_facts(name):
    """Parameters, method and family are the documented ones; no more may be required."""
    endpoint = ENDPOINTS[name]
    url = endpoint.with_hosts().url
    required = documented(url, "required")
    assert required | documented(url, "optional") == set(endpoint.parameters)
    assert FACTS[url]["method"] == endpoint.method
    assert FACTS[url]["family"] == endpoint.resolved_by
    not_required = set(NOT_REQUIRED_HERE.get(name, "").split())
    alternatives = {parameter for group in endpoint.any_of for parameter in group}
    assert required - not_required - alternatives == set(endpoint.required)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_required_parameters_are_sufficient_and_necessary(name):
    """Each endpoint accepts its required parameters alone, and misses each that is left out."""
    endpoint = ENDPOINTS[name]
    params = required_params(endpoint)
    call = endpoint.build_submit(params)
    assert (BASE_URL if "{base}" in endpoint.url else LEGACY_URL) in call.url
    assert "{" not in call.url
    assert "key" not in call.fields
    assert (endpoint.tier, endpoint.key_in, "POST") == (call.tier, call.key_in, call.method)
    for left_out in params:
        with pytest.raises(ValueError, match=f"needs {left_out}"):
            endpoint.build_submit({**params, left_out: None})


def test_parameter_values_are_passed_unchanged():
    """Only parameters that are None are left out; other falsy values stay."""
    row = ENDPOINTS["realtime/text2img"]
    call = row.build_submit({"prompt": "a lighthouse", "width": "512", "samples": 0, "seed": None})
    assert BASE_URL + "v6/realtime/text2img" == call.url
    assert {"prompt": "a lighthouse", "width": "512", "samples": 0} == call.fields
    assert not call.repeatable


def test_only_account_queries_are_repeatable():
    """A submit is paid for, and uploads and checks may be, so none of them is repeatable."""
    repeatable = {
        name for name, row in ENDPOINTS.items() if row.build_submit(required_params(row)).repeatable
    }
    assert {
        "general/request_count",
        "general/wallet_balance",
        "general/model_list",
        "voice/voice_list",
    } == repeatable


@pytest.mark.parametrize(
    ("params", "message"),
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
def test_missing_or_misspelled_parameter_is_refused(params, message):
    """The message names the expected and the given parameter and where all are listed."""
    with pytest.raises(ValueError, match=message) as caught:
        ENDPOINTS["realtime/text2img"].check(params)
    text = str(caught.value)
    assert "endpoints realtime/text2img" in text or "leave it out" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "name", ["prompt_2", "init_image_3", "true_guidance_scale", "style", "speed", "images", "zzz"]
)
def test_unknown_parameter_passes(name):
    """A parameter that is new, or known to another endpoint, is no misspelling."""
    call = ENDPOINTS["realtime/img2img"].build_submit({"prompt": "x", "init_image": "y", name: 1})
    assert 1 == call.fields[name]


def test_one_of_a_group_of_alternatives_is_required():
    """Any of them is enough, and the message names them all."""
    endpoint = ENDPOINTS["voice/vocal_isolator"]
    assert {"init_audio": "a"} == endpoint.build_submit({"init_audio": "a"}).fields
    assert {"init_video": "v"} == endpoint.build_submit({"init_video": "v"}).fields
    with pytest.raises(ValueError, match="needs init_video or init_audio, got seed"):
        endpoint.build_submit({"seed": 1})


def test_workflow_accepts_any_parameter_name():
    """Its id becomes part of the path, and its key goes into a header."""
    call = ENDPOINTS["workflows/run"].build_submit({"workflow_id": "wf/1", "promt": "x"})
    assert BASE_URL + "v1/workflows/wf%2F1/run" == call.url
    assert ({"promt": "x"}, "header") == (call.fields, call.key_in)
    for bad in ("", " ", ".", ".."):
        with pytest.raises(ValueError, match="as one segment"):
            ENDPOINTS["workflows/run"].build_submit({"workflow_id": bad})


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers(), max_size=4))
def test_any_parameters_make_a_request_or_a_value_error(params):
    """The request has exactly the given parameters, whatever their names."""
    row = make_endpoint(required=("prompt",), any_of=(("a", "b"),))
    try:
        call = row.build_submit(params)
    except ValueError:
        return
    assert {name: value for name, value in params.items() if value is not None} == call.fields


def nested(wrap, levels):
    value = 1.5
    for _ in range(levels):
        value = wrap(value)
    return value


def cyclic():
    value = [1.5]
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -math.inf,
        [1.5, "x", math.nan],
        ({"a": [1, (2.5, math.inf)]},),
        {"a": {"b": [{"c": math.nan}]}},
        {math.nan: 1},
        nested(lambda value: [value], 100_000),
        nested(lambda value: {"a": value}, 100_000),
        cyclic(),
    ],
    ids=["nan", "inf", "list", "tuple", "map", "name", "deep list", "deep map", "cycle"],
)
def test_value_that_json_lacks_is_refused(value):
    """Numbers are found at any depth, and values without an end are refused too."""
    with pytest.raises(ValueError, match="'seed' is what JSON can carry, such as finite numbers"):
        make_endpoint().check({"seed": value})


def test_check_encodes_no_text(monkeypatch):
    """A list may hold files in base64, and a check runs on the event loop."""
    encoded = []

    def encode(text):
        encoded.append(text)
        return '""'

    monkeypatch.setattr("json.encoder.encode_basestring_ascii", encode)
    shared = ["text", {"name": "text"}]
    deep = nested(lambda value: [value], 50)
    finite = {"a": [1.5, ("text", None, True, 10**400)], "b": shared, "c": [shared, deep]}

    make_endpoint().check({"prompt": "text", "images": ["text", 0.5], "workflow": finite})

    assert [] == encoded


def test_user_can_add_and_change_endpoints():
    """A union makes a new mapping, and the registry itself is read-only."""
    table = ENDPOINTS | {"v9_images/paint": make_endpoint()}
    assert BASE_URL + "v9/paint" == table["v9_images/paint"].build_submit({}).url
    assert "v9_images/paint" not in ENDPOINTS
    loose = evolve(ENDPOINTS["realtime/text2img"], required=())
    assert {"seed": 1} == loose.build_submit({"seed": 1}).fields
    with pytest.raises(TypeError):
        ENDPOINTS["v9_images/paint"] = make_endpoint()


def test_both_hosts_can_be_replaced():
    """Each of the two hosts of the service has its own argument."""
    moved = [
        ENDPOINTS[name]
        .with_hosts(base="http://a", legacy="http://b")
        .build_submit({"prompt": "x"})
        .url
        for name in ("realtime/text2img", "legacy_v3/text2img")
    ]
    assert ["http://a/v6/realtime/text2img", "http://b/v3/text2img"] == moved


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "paint"}, "such as 'v9_images/paint', got 'paint'"),
        ({"name": "v9/paint/more"}, "name"),
        ({"url": "/v9/paint"}, "starts with"),
        ({"url": "{base}/v9/paint?key=1"}, "no query"),
        ({"url": "{base}/{album}/paint"}, "album in its url"),
        ({"method": "PUT"}, "method of 'v9_images/paint' is 'GET' or 'POST', got 'PUT'"),
        ({"method": "GET"}, "a GET carries no body"),
        ({"key_in": "cookie"}, "key_in"),
        ({"tier": "gold"}, "tier"),
    ],
)
def test_invalid_endpoint_is_refused(row, message):
    """The message is one sentence, which says what is wrong with the row."""
    with pytest.raises(ValueError, match=message) as caught:
        make_endpoint(**row)
    assert (str(caught.value),) == caught.value.args


@pytest.mark.parametrize("params", [{"width": 5}, {"prompt": "x", "widht": 5}])
def test_own_endpoint_lists_its_parameters_in_the_message(params):
    """The command line does not know an endpoint of the caller's own."""
    own = make_endpoint(required=("prompt",), optional=("width",))
    with pytest.raises(ValueError, match=r"; its parameters are prompt, width$"):
        own.check(params)


# The parameters that the documentation describes as one or more links to media files.
FILE_PARAMETERS = """
audio_url cloth_image control_image face_image image image_url images init_audio init_image
init_image_2 init_video ip_adapter_image mask_image motion_video object_image reference_image
target_audio target_image url watermark_image
"""


def test_expected_parameters_take_files():
    """Of all parameters of queued endpoints, exactly the documented links take files."""
    found = {
        name
        for endpoint in map(ENDPOINTS.get, QUEUED)
        for name in endpoint.parameters
        if endpoint.takes_file(name)
    }
    assert set(FILE_PARAMETERS.split()) == found


def test_row_can_declare_file_parameters():
    """`files` and `allows_extra` add parameters whose names do not show it."""
    assert make_endpoint(files=("portrait",)).takes_file("portrait")
    assert not make_endpoint().takes_file("portrait")
    assert make_endpoint().takes_file("init_image_7")
    named = make_endpoint(allows_extra=True, optional=("prompt",))
    assert [True, False] == [named.takes_file(name) for name in ("portrait", "prompt")]


@pytest.mark.parametrize("name", QUEUED)
def test_documented_links_take_files(name):
    """A parameter that is described as a link takes a file; a number or a switch does not."""
    endpoint = ENDPOINTS[name]
    url = endpoint.with_hosts().url
    files = set(filter(endpoint.takes_file, endpoint.parameters))
    assert set() == files & documented(url, "not_text")
    assert set() == documented(url, "links") - files - {"webhook"}
