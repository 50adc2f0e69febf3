"""Status words: which are known, so that the client warns about all others."""

import pytest

from modelslab_async._parsing.status import is_known_status

WORDS = [
    "success",
    "succeeded",
    "completed",
    "complete",
    "done",
    "error",
    "failed",
    "failure",
    "expired",
    "rejected",
    "cancelled",
    "canceled",
    "aborted",
    "processing",
    "queued",
    "pending",
    "running",
    "started",
    "starting",
    "in_progress",
]
STAGES = [
    "deploying_gpu",
    "training_started",
    "training_success",
    "trained_model_compressing",
    "trained_model_uploading",
    "trained_model_uploaded",
    "deploying_model",
    "model_ready",
    "training_failed",
]


@pytest.mark.parametrize("rule", ["generation", "training", "workflow"])
def test_words_of_every_family_are_known(rule):
    """A word may have spaces instead of underscores."""
    assert all(is_known_status(word, rule) for word in WORDS)
    assert is_known_status("in progress", rule)
    assert not is_known_status("pondering", rule)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_are_known_of_trainings_only(stage):
    """Elsewhere they would be a surprise."""
    assert is_known_status(stage, "training")
    assert is_known_status(stage.replace("_", " "), "training")
    assert not is_known_status(stage, "generation")
    assert not is_known_status(stage, "workflow")
