"""Reads the state of a job from the status word in a reply's body, such as `processing`."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from .._registry.family import StatusRule
from .json_body import find_results, first_text, to_text


class Meaning(Enum):
    """What a status word, such as `processing`, means for the job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NO_STATUS = "no status"


_STATUS_MEANINGS: Mapping[str, Meaning] = {
    **dict.fromkeys(("success", "succeeded", "completed", "complete", "done"), Meaning.DONE),
    **dict.fromkeys(("error", "failed", "failure", "expired", "rejected"), Meaning.FAILED),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), Meaning.CANCELLED),
    **dict.fromkeys(
        ("processing", "queued", "pending", "running", "started", "starting", "in_progress"),
        Meaning.RUNNING,
    ),
}

# Replies about a training have the status "success" from the start. The message names the stage of
# the training.
_TRAINING_STAGES: Mapping[str, Meaning] = {
    **dict.fromkeys(
        (
            "",
            "deploying_gpu",
            "training_started",
            "training_success",
            "trained_model_compressing",
            "trained_model_uploading",
            "trained_model_uploaded",
            "deploying_model",
        ),
        Meaning.RUNNING,
    ),
    "model_ready": Meaning.DONE,
    "training_failed": Meaning.FAILED,
}


class JobState(NamedTuple):
    """
    The state of a job, as a reply's body reports it.

    Attributes:
        word: The reply's word for the state, such as `processing`, in lower case.
        meaning: What the word means. If the word is unknown, the job counts as running.
        result_body: The part of the body that holds the results.
        message: The message of a workflow's run; "" for other jobs.
        generation_time: How long the work took, in the form that the server sent.
    """

    word: str
    meaning: Meaning
    result_body: Mapping[str, Any]
    message: str = ""
    generation_time: object = None


def _status_word(fields: Mapping[str, Any]) -> str:
    return first_text(fields, "status", "state").casefold()


def _generation(fields: Mapping[str, Any]) -> JobState:
    word = _status_word(fields)
    meaning = _STATUS_MEANINGS.get(word.replace(" ", "_"), Meaning.RUNNING)
    if not word:
        # A recorded reply shows that a finished `voice_cover` has links but no status.
        meaning = Meaning.DONE if find_results(fields) else Meaning.NO_STATUS
    generation_time = fields.get("generationTime", fields.get("generation_time"))
    return JobState(word, meaning, fields, "", generation_time)


def _training(fields: Mapping[str, Any]) -> JobState:
    envelope = _generation(fields)
    if envelope.meaning is not Meaning.DONE:
        return envelope
    stage = first_text(fields, "messege", "message", "training_status").casefold()
    key = stage.replace(" ", "_")
    meaning = _TRAINING_STAGES.get(key, _unlisted_stage_meaning(key))
    return JobState(stage or envelope.word, meaning, fields)


def _workflow(fields: Mapping[str, Any]) -> JobState:
    execution = fields.get("execution")
    if not isinstance(execution, dict):
        # Without `execution`, this is the reply to a submit. Its status "success" means only that
        # the workflow has begun to run.
        envelope = _generation(fields)
        if envelope.word == "success":
            return envelope._replace(meaning=Meaning.RUNNING)
        return envelope
    word = _status_word(execution) or "pending"
    result_body = fields.get("output")
    return JobState(
        word,
        _STATUS_MEANINGS.get(word, Meaning.RUNNING),
        result_body if isinstance(result_body, dict) else fields,
        to_text(fields.get("error")),
        execution.get("execution_time"),
    )


def _unlisted_stage_meaning(word: str) -> Meaning:
    """Return what an unknown stage of a training means. Such a stage never counts as done."""
    meaning = _STATUS_MEANINGS.get(word, Meaning.RUNNING)
    return Meaning.RUNNING if meaning is Meaning.DONE else meaning


_READERS: Mapping[StatusRule, Callable[[Mapping[str, Any]], JobState]] = {
    "generation": _generation,
    "training": _training,
    "workflow": _workflow,
}


def read_state(fields: Mapping[str, Any], rule: StatusRule) -> JobState:
    """
    Read the state of a job from the fields of a body.

    Args:
        fields: The fields of the body.
        rule: How replies of the job's family report the state.
    """
    return _READERS[rule](fields)


def is_known_status(word: str, rule: StatusRule) -> bool:
    """Whether a status word is known. With the rule `training`, the stages are known words too."""
    if word in _STATUS_MEANINGS:
        return True
    key = word.replace(" ", "_")
    return key in _STATUS_MEANINGS or (rule == "training" and key in _TRAINING_STAGES)
