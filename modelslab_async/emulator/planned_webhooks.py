"""Plans the webhooks of a job: their bodies and due times."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import frozen

from modelslab_async._registry.family import StatusRule

from . import shared_replies
from .family_reply_formats import format_of
from .job import Job
from .reply_bodies import READY_STAGE, STAGES, URLBuilder, date_of, meta_of, output_of

_FORGED_URL = "https://forged.invalid/generations"


@frozen
class PlannedWebhook:
    """
    One webhook of one job, before it is sent.

    Args:
        body: The JSON body.
        due_after: The seconds from the start of the job until the webhook is due.
        attempts: The maximum number of attempts to deliver the webhook.
    """

    body: Mapping[str, Any]
    due_after: float
    attempts: int = 1


def webhook_url_of(job: Job) -> str | None:
    """Return the webhook URL in the parameters of a job's submit, or None."""
    url = job.fields.get("webhook_url") or job.fields.get("webhook")
    return url if isinstance(url, str) and url else None


def _generation(job: Job, urls: URLBuilder, _workflow_format: str) -> list[PlannedWebhook]:
    track_id = job.fields.get("track_id")
    if job.fails:
        body: dict[str, Any] = {
            "status": "failed",
            "id": job.ticket.id,
            "message": shared_replies.PROCESSING_FAILED,
            "track_id": track_id,
        }
    else:
        body = {
            "status": "success",
            "id": job.ticket.id,
            "output": output_of(job, urls),
            "generationTime": max(0.0, float(job.duration)),
            "track_id": track_id,
            "meta": meta_of(job, format_of(job.job_type)),
        }
    return [PlannedWebhook(body, job.duration)]


def _training(job: Job, _urls: URLBuilder, _workflow_format: str) -> list[PlannedWebhook]:
    # The documentation shows only webhooks of trainings that succeed. For a failed training, the
    # words `training_failed` and `failed` are guesses.
    last, status = ("training_failed", "failed") if job.fails else (READY_STAGE, "success")
    moments = (("success", STAGES[0], 0.0), (status, last, job.duration))
    return [
        PlannedWebhook(
            {
                "status": word,
                "training_status": stage,
                "logs": shared_replies.TRAINING_LOG,
                "model_id": job.ticket.id,
            },
            due_after,
        )
        for word, stage, due_after in moments
    ]


def _workflow(job: Job, urls: URLBuilder, workflow_format: str) -> list[PlannedWebhook]:
    body = _flat(job, urls) if workflow_format == "flat" else _nested(job, urls)
    # The service documents up to three retries for workflows, and none for generations.
    return [PlannedWebhook(body, job.duration, attempts=4)]


def _nested(job: Job, urls: URLBuilder) -> dict[str, Any]:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    word = _final_status(job)
    return {
        "event": f"workflow.{word}",
        "workflow": {"id": workflow_id, "name": "Emulated workflow", "user_id": 1},
        "execution": {
            "id": run_id,
            "status": word,
            "started_at": date_of(job.started),
            "completed_at": date_of(job.started + job.duration),
            "execution_time": round(float(job.duration), 3),
            "input_data": dict(job.fields),
            "output_data": {} if job.fails else {"images": output_of(job, urls)},
        },
    }


def _flat(job: Job, urls: URLBuilder) -> dict[str, Any]:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    word = _final_status(job)
    return {
        "event": f"workflow.{word}",
        "execution_id": int(run_id) if run_id.isdecimal() else run_id,
        "workflow_id": workflow_id,
        "status": word,
        "output": {"output": [] if job.fails else output_of(job, urls)},
        "completed_at": date_of(job.started + job.duration),
    }


def _final_status(job: Job) -> str:
    # The documentation shows the event `workflow.completed` only, so `workflow.failed` is a guess.
    return "failed" if job.fails else "completed"


_BY_RULE: Mapping[StatusRule, Callable[[Job, URLBuilder, str], list[PlannedWebhook]]] = {
    "generation": _generation,
    "training": _training,
    "workflow": _workflow,
}


def plan_webhooks(
    job: Job, rule: StatusRule, urls: URLBuilder, *, workflow_format: Literal["nested", "flat"]
) -> list[PlannedWebhook]:
    """Return the webhooks of a job, in the order in which they are due."""
    return _BY_RULE[rule](job, urls, workflow_format)


def plan_forged_webhook(job: Job) -> PlannedWebhook:
    """Plan a webhook that reports a false success and is due halfway through the job."""
    body: dict[str, Any] = {
        "status": "success",
        "id": job.ticket.id,
        "output": [f"{_FORGED_URL}/{number}.{job.link_suffix}" for number in range(job.file_count)],
        "generationTime": 0.1,
        "track_id": job.fields.get("track_id"),
        "meta": {},
    }
    return PlannedWebhook(body, max(0.0, job.duration) / 2)
