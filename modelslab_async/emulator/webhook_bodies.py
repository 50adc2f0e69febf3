"""Notices: what webhooks say, as documented. Pure: the job, the moment and the site go in."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import frozen

from modelslab_async._registry.family import StatusRule

from . import messages
from .family_formats import dialect_of
from .jobs import Job
from .reply_bodies import READY, STAGES, Site, date_of, links_of, meta_of

_NOWHERE = "https://forged.invalid/generations"


@frozen
class Notice:
    """
    One webhook of one job.

    Args:
        body: What it says.
        after: How many seconds after the start of the job it is due.
        attempts: How often it is tried until it is taken.
    """

    body: Mapping[str, Any]
    after: float
    attempts: int = 1


def url_of(job: Job) -> str | None:
    """Where the webhooks of a job are to go; None: nowhere."""
    url = job.fields.get("webhook_url") or job.fields.get("webhook")
    return url if isinstance(url, str) and url else None


def _generation(job: Job, site: Site, _shape: str) -> list[Notice]:
    track_id = job.fields.get("track_id")
    if job.fails:
        body: dict[str, Any] = {
            "status": "failed",
            "id": job.ticket.id,
            "message": messages.PROCESSING_FAILED,
            "track_id": track_id,
        }
    else:
        body = {
            "status": "success",
            "id": job.ticket.id,
            "output": links_of(job, site),
            "generationTime": max(0.0, float(job.duration)),
            "track_id": track_id,
            "meta": meta_of(job, dialect_of(job.work)),
        }
    return [Notice(body, job.duration)]


def _training(job: Job, _site: Site, _shape: str) -> list[Notice]:
    # No page shows how a training fails; the word is the one that its status has then.
    last, status = ("training_failed", "failed") if job.fails else (READY, "success")
    moments = (("success", STAGES[0], 0.0), (status, last, job.duration))
    return [
        Notice(
            {
                "status": word,
                "training_status": stage,
                "logs": messages.TRAINING_LOG,
                "model_id": job.ticket.id,
            },
            after,
        )
        for word, stage, after in moments
    ]


def _workflow(job: Job, site: Site, shape: str) -> list[Notice]:
    body = _flat(job, site) if shape == "flat" else _nested(job, site)
    # Documented: tried again up to three times, which generations are not.
    return [Notice(body, job.duration, attempts=4)]


def _nested(job: Job, site: Site) -> dict[str, Any]:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    word = _ended(job)
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
            "output_data": {} if job.fails else {"images": links_of(job, site)},
        },
    }


def _flat(job: Job, site: Site) -> dict[str, Any]:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    word = _ended(job)
    return {
        "event": f"workflow.{word}",
        "execution_id": int(run_id) if run_id.isdecimal() else run_id,
        "workflow_id": workflow_id,
        "status": word,
        "output": {"output": [] if job.fails else links_of(job, site)},
        "completed_at": date_of(job.started + job.duration),
    }


def _ended(job: Job) -> str:
    # Only the name of the good event was seen; the other follows it.
    return "failed" if job.fails else "completed"


_BY_RULE: Mapping[StatusRule, Callable[[Job, Site, str], list[Notice]]] = {
    "generation": _generation,
    "training": _training,
    "workflow": _workflow,
}


def notices_of(
    job: Job, rule: StatusRule, site: Site, *, shape: Literal["nested", "flat"]
) -> list[Notice]:
    """The webhooks of a job, in the order in which they are due."""
    return _BY_RULE[rule](job, site, shape)


def forged(job: Job) -> Notice:
    """A success that never was, halfway through the job."""
    body: dict[str, Any] = {
        "status": "success",
        "id": job.ticket.id,
        "output": [f"{_NOWHERE}/{number}.{job.suffix}" for number in range(job.files)],
        "generationTime": 0.1,
        "track_id": job.fields.get("track_id"),
        "meta": {},
    }
    return Notice(body, max(0.0, job.duration) / 2)
