"""The modules of `requests` match the registry and the documented facts, and are up to date."""

import inspect
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_overloads

import pytest
from attrs import evolve

from modelslab_async import ENDPOINTS, FAMILIES, Submission, Ticket
from modelslab_async.requests import EndpointName, FamilyName, FileOrLink

ROOT = Path(__file__).parents[2]
FACTS = json.loads((ROOT / "tests/facts/endpoints.json").read_text())
sys.path.append(str(ROOT / "tools"))
import generate_requests  # noqa: E402

PARAMETERS = json.loads((ROOT / "tools/request_parameters.json").read_text())


def function_for(name):
    """The typed function for an endpoint."""
    family, _, endpoint = name.partition("/")
    module = import_module(f"modelslab_async.requests.{family}")
    return getattr(module, endpoint.replace("-", "_"))


def parameters_of(name):
    """The parameters of the typed function for an endpoint, without `extra`."""
    parameters = dict(inspect.signature(function_for(name)).parameters)
    del parameters["extra"]
    return parameters


def required_arguments(name):
    """The least that an endpoint can be called with."""
    row = ENDPOINTS[name]
    return dict.fromkeys((*row.required, *(group[0] for group in row.any_of)), "x")


def test_modules_are_up_to_date():
    """Else `python tools/generate_requests.py` renews them."""
    assert generate_requests.module_texts() == generate_requests.generated_files()


def test_outdated_modules_are_replaced(tmp_path):
    """Modules of families that are gone are deleted; hand-written files stay as they are."""
    (tmp_path / "gone.py").write_text(generate_requests.HEAD)
    (tmp_path / "typed_submission.py").write_text('"""Written by hand."""\n')
    generate_requests.write(tmp_path)
    assert not (tmp_path / "gone.py").exists()
    assert (tmp_path / "typed_submission.py").exists()
    assert generate_requests.module_texts() == generate_requests.generated_files(tmp_path)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_function_takes_parameters_of_its_endpoint(name):
    """The function requires what the endpoint requires, and its submission passes the check."""
    parameters = parameters_of(name)
    row = ENDPOINTS[name]
    assert set(row.parameters) == parameters.keys()
    required = {key for key, each in parameters.items() if each.default is each.empty}
    assert set(row.required) == required
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters.values())
    arguments = required_arguments(name)
    submission = function_for(name)(**arguments)
    assert Submission(name, arguments) == submission
    row.check(submission.parameters)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_docstring_names_document_and_parameters(name):
    """The docstring has the page of the endpoint and a line for each parameter."""
    text = inspect.getdoc(function_for(name))
    assert ENDPOINTS[name].doc in text
    for parameter in ENDPOINTS[name].parameters:
        assert f"    {parameter}: " in text


@pytest.mark.parametrize("name", ENDPOINTS)
def test_types_agree_with_documented_facts(name):
    """A link is a file or link, and what no document calls a text is no text."""
    facts = FACTS[ENDPOINTS[name].with_hosts().url]
    parameters = parameters_of(name)
    files = (FileOrLink, FileOrLink | None, Any)
    lists = (Sequence[FileOrLink], Sequence[FileOrLink] | None)
    links = set(facts.get("links", "").split()) if ENDPOINTS[name].resolved_by else set()
    for link in links - {"webhook"}:
        assert parameters[link].annotation in (*files, *lists), link
    for parameter in facts.get("not_text", "").split():
        assert parameters[parameter].annotation not in (str, str | None), parameter


def test_aliases_hold_all_names():
    """An annotation with one of them takes the names of the registry, and no others."""
    assert tuple(FAMILIES) == get_args(FamilyName)
    assert tuple(ENDPOINTS) == get_args(EndpointName)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_tickets(family):
    """A family without endpoints has a module as well."""
    module = import_module(f"modelslab_async.requests.{family}")
    assert Ticket(family, 13443927) == module.ticket(13443927)


@pytest.mark.parametrize("name", [name for name, row in ENDPOINTS.items() if row.any_of])
def test_each_alternative_has_an_overload(name):
    """Type checkers require one parameter of each group of alternatives."""
    row = ENDPOINTS[name]
    [alternatives] = row.any_of
    required = [
        {
            key
            for key, each in inspect.signature(form).parameters.items()
            if each.default is not None
        }
        for form in get_overloads(function_for(name))
    ]
    assert [{*row.required, alternative} for alternative in alternatives] == required


def test_contradictory_documents_leave_the_type_open():
    """The parameter takes anything, and its line says why."""
    function = function_for("voice/voice_cover")
    assert inspect.signature(function).parameters["seed"].annotation is Any
    text = " ".join(inspect.getdoc(function).split())
    assert "The service's documents disagree on the type of this parameter." in text


@pytest.mark.parametrize(
    ("endpoint", "line"),
    [
        ("realtime/text2img", "prompt: Text that says what to generate."),
        ("realtime/img2img", "prompt: Text that says what to generate or change."),
        ("voice/text_to_speech", "prompt: The text to speak."),
    ],
)
def test_parameter_means_what_it_does_at_its_endpoint(endpoint, line):
    """One name may mean different things at different endpoints."""
    lines = [each.strip() for each in inspect.getdoc(function_for(endpoint)).splitlines()]
    assert line in lines


def test_alternatives_are_named():
    """The docstring says of which parameters one is required."""
    text = inspect.getdoc(function_for("voice/speech_to_text"))
    assert "At least one of init_audio and audio_url is required." in text


def test_facts_name_parameters_and_endpoints_that_exist():
    """Each row of the data file is used, and each exception names endpoints with the parameter."""
    for parameter, facts in PARAMETERS.items():
        users = {name for name, row in ENDPOINTS.items() if parameter in row.parameters}
        assert users, parameter
        for key in ("elsewhere", "means_elsewhere"):
            exceptions = " ".join(facts.get(key, {}).values()).split()
            assert set() == set(exceptions) - users, parameter


def test_unlisted_parameter_takes_anything():
    """The service adds parameters, so one that the data file lacks is not an error."""
    row = ENDPOINTS["realtime/text2img"]
    parameter = generate_requests.parameter_of(row, "brand_new")
    assert ("brand_new", "Any") == (parameter.name, parameter.annotation)


def test_each_parameter_is_listed():
    """Else its argument has no meaning and no type."""
    assert [] == generate_requests.unlisted_parameters(ENDPOINTS.values())


def test_unlisted_parameters_are_named_at_the_end(monkeypatch, capsys):
    """The tool writes the modules all the same, and its exit code tells CI."""
    written = []
    monkeypatch.setattr(generate_requests, "write", lambda: written.append(True))
    row = ENDPOINTS["realtime/text2img"]
    row = evolve(row, optional=(*row.optional, "brand_new"))
    monkeypatch.setattr(generate_requests, "ENDPOINTS", {row.name: row})
    assert 1 == generate_requests.main()
    assert [True] == written
    assert "  brand_new of realtime/text2img\n" in capsys.readouterr().err
    monkeypatch.setattr(generate_requests, "ENDPOINTS", ENDPOINTS)
    assert 0 == generate_requests.main()
    assert "" == capsys.readouterr().err


def test_two_functions_of_one_name_are_refused():
    """Names that differ in `-` and `_` alone cannot both be functions."""
    row = ENDPOINTS["realtime/text2img"]
    rows = [evolve(row, name="realtime/a-b"), evolve(row, name="realtime/a_b")]
    with pytest.raises(ValueError, match="two functions of realtime would be called 'a_b'"):
        generate_requests.module_text("realtime", rows)


@pytest.mark.parametrize("name", ["realtime/class", "realtime/3d"])
def test_endpoint_without_possible_function_name_is_refused(name):
    """The message names the endpoint."""
    row = ENDPOINTS["realtime/text2img"]
    with pytest.raises(ValueError, match=name):
        generate_requests.function_name(evolve(row, name=name))
