"""`endpoints`: the ways to start work, whole or in part."""

import csv
import json
import re

import pytest

from modelslab_async import ENDPOINTS


def names(run):
    """The names in the lines that a pipe got."""
    return [row["name"] for row in csv.DictReader(run.stdout.splitlines(), delimiter="\t")]


def test_a_pipe_gets_plain_lines(program):
    """A header and a line of tab-separated fields for every endpoint."""
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
        ("general", ["general/request_count", "general/wallet_balance", "general/base64_to_url"]),
        ("wallet_balance", ["general/wallet_balance"]),
        ("v7_*/*-to-image", ["v7_images/image-to-image", "v7_images/text-to-image"]),
    ],
)
def test_a_part_of_the_table(program, pattern, expected):
    """A family's name gives its rows, a pattern what fits it, a name the one row."""
    assert expected == names(program("endpoints", pattern))


def test_endpoint_without_its_group_finds_all_of_that_name(program):
    """`text2img` finds what the pattern `*/text2img` finds."""
    found = names(program("endpoints", "text2img"))
    assert {"images/text2img", "realtime/text2img"} <= set(found)
    assert found == names(program("endpoints", "*/text2img"))


def test_a_family_has_what_is_resolved_by_it(program):
    """Work that starts elsewhere and is fetched here belongs here as well."""
    found = names(program("endpoints", "images"))
    assert {"images/text2img", "controlnet_v5/controlnet"} <= set(found)


def test_json_lines(program):
    """`--json` gives the same facts as JSON, with lists."""
    row = json.loads(program("endpoints", "--json", "realtime/text2img").stdout)
    assert ("realtime", ["prompt"], ["image"]) == (
        row["resolved_by"],
        row["required"],
        row["output"],
    )
    assert {"width", "webhook", "track_id"} <= set(row["optional"])
    assert ["init_image"] == row["files"]


def test_what_takes_a_file(program):
    """It is told of work that is started; a question takes none."""
    run = program("endpoints", "image_editing")
    rows = {row["name"]: row for row in csv.DictReader(run.stdout.splitlines(), delimiter="\t")}
    assert "init_image,cloth_image" == rows["image_editing/fashion"]["files"]
    assert "" == rows["image_editing/base64_to_url"]["files"]
    code, shown = program.on_terminal("endpoints", "realtime/img2img")
    assert 0 == code
    assert "takes a file" in shown


def test_a_terminal_gets_a_table(program):
    """Every endpoint is in it, with the family of its tickets and what it requires."""
    code, shown = program.on_terminal("endpoints")
    assert 0 == code
    assert "\t" not in shown
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    for name, endpoint in ENDPOINTS.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert (endpoint.resolved_by or "answered at once") in line
        assert all(parameter in line for parameter in endpoint.required)


@pytest.mark.parametrize("name", ["realtime/text2img", "voice/vocal_isolator", "workflows/run"])
def test_a_terminal_gets_all_about_one(program, name):
    """One endpoint is shown with every parameter, its request, what it gives and its document."""
    code, shown = program.on_terminal("endpoints", name)
    assert 0 == code
    endpoint = ENDPOINTS[name]
    for fact in (*endpoint.parameters, endpoint.url, endpoint.doc, endpoint.note):
        assert fact in shown
    assert f"tickets of family {endpoint.resolved_by} with" in shown


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("realtime/txt2img", "did you mean 'realtime/text2img'"),
        ("realtme", "did you mean 'realtime'"),
        ("*/nothing", "unknown endpoint '*/nothing'"),
        ("enterprise_pony", "has no documented endpoint"),
    ],
)
def test_what_is_not_there(program, pattern, complaint):
    """A name that is none is a usage error with those that are like it."""
    run = program("endpoints", pattern)
    assert (2, "", 1) == (run.returncode, run.stdout, run.stderr.count("\n"))
    assert complaint in run.stderr


def test_no_key_is_needed(program):
    """The table can be read without a key."""
    assert 0 == program("endpoints", MODELSLAB_API_KEY=None).returncode
