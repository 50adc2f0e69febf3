"""Typed functions make submissions of their arguments, and the client starts their work."""

import io
import json
from pathlib import Path

import pytest

from modelslab_async import Submission
from modelslab_async.requests import realtime, v7_images, workflows


def test_arguments_that_are_none_are_left_out():
    """Other falsy values stay."""
    submission = realtime.text2img(prompt="a lighthouse", samples=0, seed=None, base64=False)
    expected = {"prompt": "a lighthouse", "samples": 0, "base64": False}
    assert Submission("realtime/text2img", expected) == submission


def test_name_with_hyphens_becomes_a_function_with_underscores():
    """The submission has the name of the registry."""
    submission = v7_images.text_to_image(prompt="a lighthouse", model_id="flux")
    assert "v7_images/text-to-image" == submission.endpoint


def test_extra_parameters_are_added():
    """Parameters that the function does not list are sent all the same."""
    submission = realtime.text2img(prompt="a lighthouse", extra={"brand_new": 3})
    assert {"prompt": "a lighthouse", "brand_new": 3} == submission.parameters
    assert {"workflow_id": "wf_1", "prompt": "x"} == dict(
        workflows.run(workflow_id="wf_1", extra={"prompt": "x"}).parameters
    )


def test_extra_may_give_a_listed_parameter_another_type():
    """A text is possible where the documents say a number, if the argument itself is not given."""
    submission = realtime.text2img(prompt="a lighthouse", extra={"width": "512"})
    assert "512" == submission.parameters["width"]


def test_extra_that_repeats_an_argument_is_refused():
    """The message names the parameter and the endpoint."""
    with pytest.raises(ValueError, match=r"realtime/text2img takes each .* got width as an arg"):
        realtime.text2img(prompt="a lighthouse", width=512, extra={"width": 256})


def test_extra_that_is_no_mapping_is_refused():
    """The message says what was expected and what came."""
    with pytest.raises(TypeError, match="extra is a mapping of parameters by name, got "):
        realtime.text2img(prompt="a lighthouse", extra=["width"])


def test_api_key_in_extra_is_refused():
    """The key is no part of a submission, and the message does not show it."""
    with pytest.raises(ValueError, match="without `key`") as caught:
        realtime.text2img(prompt="a lighthouse", extra={"key": "secret"})
    assert "secret" not in str(caught.value)


def test_submission_survives_json():
    """It can be stored and read back, with the path of a file."""
    submission = realtime.img2img(prompt="in winter", init_image=Path("house.png"))
    assert submission == Submission.from_dict(json.loads(json.dumps(submission.to_dict())))


@pytest.mark.parametrize("file", ["https://a/b.png", Path("a.png"), b"bytes", io.BytesIO(b"a")])
def test_each_form_of_a_file_is_kept(file):
    """A link, a path, bytes and an open file reach the client as they are."""
    submission = realtime.img2img(prompt="in winter", init_image=file)
    assert file is submission.parameters["init_image"]
