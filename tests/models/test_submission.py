"""Submission: an endpoint, parameters and a key, as a value and as JSON."""

import json
import pickle
from io import BytesIO
from pathlib import Path

import pytest

from modelslab_async import Submission

ENDPOINT = "realtime/img2img"


def test_submission_survives_json():
    """A submission is equal after a dictionary and JSON text, with the paths among its values."""
    submission = Submission(
        ENDPOINT,
        {"prompt": "house.png", "init_image": Path("house.png"), "images": [Path("a"), "b"]},
        key="row 1",
        columns={"note": "mine"},
    )
    restored = Submission.from_dict(json.loads(json.dumps(submission.to_dict())))
    assert submission == restored
    assert isinstance(restored.parameters["init_image"], Path)
    assert isinstance(restored.parameters["prompt"], str)


def test_submission_is_a_value():
    """It cannot be changed from outside, and can be pickled."""
    parameters = {"prompt": "a cat"}
    submission = Submission(ENDPOINT, parameters)
    parameters["prompt"] = "a dog"
    assert "a cat" == submission.parameters["prompt"]
    assert submission.key is None
    assert submission == pickle.loads(pickle.dumps(submission))
    with pytest.raises(AttributeError):
        submission.key = "other"


@pytest.mark.parametrize("file", [b"bytes", bytearray(b"x"), BytesIO(b"x")])
def test_file_without_path_is_no_json(file):
    """Bytes and open files cannot be stored, and the error names their parameter."""
    with pytest.raises(ValueError, match=r"the file for 'init_image', a .*; give its path"):
        Submission(ENDPOINT, {"init_image": file}).to_dict()


def test_name_that_is_no_text_is_told():
    """The error shows that name, and not the type of the whole mapping."""
    with pytest.raises(ValueError, match="got the name 5, which is no text"):
        Submission(ENDPOINT, {"prompt": "a cat", 5: "x"})


def test_map_that_looks_like_marked_path_is_refused():
    """A map that `from_dict` would take for a path is not written."""
    with pytest.raises(ValueError, match="which marks a path"):
        Submission(ENDPOINT, {"options": {"$file": "x"}}).to_dict()


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"endpoint": 1, "parameters": {}},
        {"endpoint": ENDPOINT, "parameters": []},
        {"endpoint": ENDPOINT, "parameters": {}, "more": 1},
    ],
)
def test_foreign_record_is_refused(record):
    """A dictionary of another form is a ValueError."""
    with pytest.raises(ValueError, match="a submission is a dictionary with 'endpoint'"):
        Submission.from_dict(record)


@pytest.mark.parametrize("key", ["", "x" * 201, 5])
def test_key_of_wrong_form_is_refused(key):
    """A key is a text of 1 to 200 characters."""
    with pytest.raises(ValueError, match="a text of 1 to 200 characters or None"):
        Submission(ENDPOINT, {}, key=key)


@pytest.mark.parametrize("key", ["row\0", "row \ud800"])
def test_key_that_a_journal_cannot_store_is_refused(key):
    """PostgreSQL would refuse it only when the submit is written down."""
    with pytest.raises(ValueError, match="holds no NUL character"):
        Submission(ENDPOINT, {}, key=key)


def test_api_key_among_parameters_is_refused():
    """The error does not show the value."""
    with pytest.raises(ValueError, match="without `key`") as caught:
        Submission(ENDPOINT, {"key": "a-secret"})
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("parameters", [None, [("prompt", "x")], {1: "x"}])
def test_parameters_are_a_mapping_of_names(parameters):
    """Parameters of another form are a ValueError that shows none of their values."""
    with pytest.raises(ValueError, match="a mapping of names to values"):
        Submission(ENDPOINT, parameters)


def test_long_values_are_cut_in_repr():
    """A large file among the parameters does not fill a log."""
    assert len(repr(Submission(ENDPOINT, {"init_image": b"x" * 10_000}))) < 200


def test_key_can_be_added_later():
    """The submission stays as it is, and the new one has the key."""
    submission = Submission("realtime/text2img", {"prompt": "a fox"})
    keyed = submission.with_key("row 1")
    assert Submission("realtime/text2img", {"prompt": "a fox"}, key="row 1") == keyed
    assert submission.key is None
    with pytest.raises(ValueError, match="1 to 200 characters"):
        submission.with_key("")


def test_columns_can_be_added_later():
    """The submission stays as it is, and the new one has the columns."""
    submission = Submission("realtime/text2img", {"prompt": "a fox"}, key="row 1")
    row = {"note": "for the cover"}
    changed = submission.with_columns(row)
    assert submission.columns == {}
    row["note"] = "changed later"
    assert {"note": "for the cover"} == changed.columns
    assert ("row 1", submission.parameters) == (changed.key, changed.parameters)
    assert {"seed": 1} == changed.with_columns({"seed": 1}).columns
    with pytest.raises(ValueError, match="the columns are a mapping of names to values"):
        submission.with_columns(["note"])


def test_submission_is_taken_as_it_is_or_made_from_keywords():
    """Both at once are a TypeError that names the keywords."""
    submission = Submission(ENDPOINT, {"prompt": "a fox"}, key="row 1")
    assert submission is Submission.of(submission, {})
    assert Submission(ENDPOINT, {"prompt": "a fox"}) == Submission.of(ENDPOINT, {"prompt": "a fox"})
    with pytest.raises(TypeError, match="got seed, width beside it"):
        Submission.of(submission, {"seed": 1, "width": 512})


@pytest.mark.parametrize("endpoint", [None, 5, b"realtime/text2img"])
def test_endpoint_is_a_text(endpoint):
    """The error says what an endpoint looks like, and shows only the type."""
    with pytest.raises(TypeError, match=r"endpoint is a name such as 'realtime/text2img', got"):
        Submission(endpoint, {})


def test_longest_key_is_accepted():
    """The bounds themselves belong to what is allowed."""
    for key in ("x", "x" * 200, None):
        assert key == Submission(ENDPOINT, {}, key=key).key


def test_columns_are_given_by_name_only():
    """The third argument by place is the key, and a fourth is an error."""
    with pytest.raises(TypeError, match="positional"):
        Submission(ENDPOINT, {}, "row 1", {"width": 512})
