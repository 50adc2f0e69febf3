"""`endpoints`: the list of endpoints, whole or in part."""

import csv
import json
import re

import pytest

from modelslab_async import ENDPOINTS


def names(run):
    """The names in the lines of a pipe."""
    return [row["name"] for row in csv.DictReader(run.stdout.splitlines(), delimiter="\t")]


def test_pipe_gets_tab_separated_endpoints(program):
    """A pipe gets a header and a tab-separated line for every endpoint."""
    run = program("endpoints")
    assert list(ENDPOINTS) == names(run)
    rows = {row["name"]: row for row in csv.DictReader(run.stdout.splitlines(), delimiter="\t")}
    assert ("init_audio|audio_url", "") == tuple(
        rows["voice/speech_to_text"][column] for column in ("any_of", "required")
    )
    assert "" == rows["general/wallet_balance"]["resolved_by"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("realtime", ["realtime/img2img", "realtime/inpaint", "realtime/text2img"]),
        ("realtime/text2img", ["realtime/text2img"]),
        ("whisper", ["whisper/transcribe"]),
        ("three_d", ["three_d/image_to_3d", "three_d/text_to_3d", "three_d/base64_to_url"]),
        ("wallet_balance", ["general/wallet_balance"]),
        ("v7_*/*-to-image", ["v7_images/image-to-image", "v7_images/text-to-image"]),
    ],
)
def test_name_or_pattern_selects_endpoints(program, pattern, expected):
    """A family's name, a whole name, a part of one or a pattern selects endpoints."""
    assert expected == names(program("endpoints", pattern))


def test_endpoint_without_its_group_finds_all_of_that_name(program):
    """`text2img` finds what the pattern `*/text2img` finds."""
    found = names(program("endpoints", "text2img"))
    assert {"images/text2img", "realtime/text2img"} <= set(found)
    assert found == names(program("endpoints", "*/text2img"))


def test_family_selects_endpoints_that_it_resolves(program):
    """A family also selects endpoints of other groups whose tickets belong to it."""
    found = names(program("endpoints", "images"))
    assert {"images/text2img", "controlnet_v5/controlnet"} <= set(found)


def test_json_prints_endpoints_with_lists(program):
    """`--json` prints the same facts as JSON, with lists."""
    row = json.loads(program("endpoints", "--json", "realtime/text2img").stdout)
    assert ("realtime", ["prompt"], ["image"]) == (
        row["resolved_by"],
        row["required"],
        row["output"],
    )
    assert {"width", "webhook", "track_id"} <= set(row["optional"])
    assert ["init_image"] == row["files"]


def test_file_parameters_are_listed(program):
    """File parameters are listed for endpoints that start work, and for no others."""
    run = program("endpoints", "image_editing")
    rows = {row["name"]: row for row in csv.DictReader(run.stdout.splitlines(), delimiter="\t")}
    assert "init_image,cloth_image" == rows["image_editing/fashion"]["files"]
    assert "" == rows["image_editing/base64_to_url"]["files"]
    code, shown = program.on_terminal("endpoints", "realtime/img2img")
    assert 0 == code
    assert "takes a file" in shown


def test_help_says_that_all_endpoints_are_listed(program):
    """Endpoints that start no work are in the list, too, so the help does not leave them out."""
    assert "List the endpoints that start work" not in program("--help").stdout
    text = " ".join(program("endpoints", "--help").stdout.split())
    assert "List all endpoints and their parameters." in text
    assert "Most endpoints start work and make a ticket. The others answer at once." in text


def test_terminal_gets_table_of_endpoints(program):
    """The table has every endpoint with its family and its required parameters."""
    code, shown = program.on_terminal("endpoints")
    assert 0 == code
    assert "\t" not in shown
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    for name, endpoint in ENDPOINTS.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert (endpoint.resolved_by or "answered at once") in line
        assert all(parameter in line for parameter in endpoint.required)


@pytest.mark.parametrize("name", ["realtime/text2img", "voice/vocal_isolator", "workflows/run"])
def test_terminal_shows_all_facts_of_one_endpoint(program, name):
    """A single endpoint is shown with all its parameters, its request and its document."""
    code, shown = program.on_terminal("endpoints", name)
    assert 0 == code
    endpoint = ENDPOINTS[name]
    for fact in (*endpoint.parameters, endpoint.url, endpoint.doc, endpoint.note):
        assert fact in shown
    assert f"tickets of family {endpoint.resolved_by} with" in shown


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("realtime/txt2img", "did you mean 'realtime/text2img'"),
        ("realtme", "did you mean 'realtime'"),
        ("*/nothing", "unknown endpoint '*/nothing'"),
        ("enterprise_pony", "has no documented endpoint"),
    ],
)
def test_unknown_endpoint_is_refused_with_suggestion(program, pattern, message):
    """An unknown name is a usage error with similar names."""
    run = program("endpoints", pattern)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert message in run.stderr


def test_endpoints_needs_no_key(program):
    """The endpoints can be listed without a key."""
    assert 0 == program("endpoints", MODELSLAB_API_KEY=None).returncode
