"""Answers: what is said about one job at one moment. Pure: the job, the time and the site go in."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any
from urllib.parse import quote

from attrs import frozen

from modelslab_async._registry.family import StatusRule

from . import messages
from .family_formats import Dialect, dialect_of
from .jobs import Job
from .media.files import File, make_file
from .routes import MEDIA

STAGES = (
    "deploying_gpu",
    "training_started",
    "training_success",
    "trained_model_compressing",
    "trained_model_uploading",
    "trained_model_uploaded",
    "deploying_model",
)
READY = "model_ready"
_PENDING_SHARE = 0.1
# Runs have dates while the emulator's clock only counts seconds, so its zero is given one.
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_RENAMED = {"width": "W", "height": "H", "samples": "n_samples", "num_inference_steps": "steps"}


@frozen
class Site:
    """
    Where the emulator is reached, as the request at hand says.

    Args:
        root: Scheme and host.
        mount: What stands before the paths of the API, `/api` or nothing.
        query: What stands behind the paths of files.
    """

    root: str
    mount: str
    query: str = ""

    def url(self, path: str) -> str:
        """The URL of a path of the API."""
        return f"{self.root}{self.mount}/{path}"

    def links(self, job: Job, *, folder: str = "generations") -> list[str]:
        """The links to the files of a job."""
        stem = f"{self.root}/{MEDIA}/{folder}/{job.ticket.family}/{quote(job.ticket.id, safe='')}"
        return [f"{stem}-{number}.{job.suffix}{self.query}" for number in range(job.files)]


def file_of(job: Job, number: int) -> File:
    """One of the files of a job."""
    return make_file(f"{job.ticket}#{number}", job.suffix)


def _written(id_: str) -> int | str:
    return int(id_) if id_.isascii() and id_.isdigit() else id_


def _results(job: Job, site: Site) -> dict[str, Any]:
    """The facts about the output of a finished job."""
    if job.output is None:
        links = site.links(job)
        mirrors = site.links(job, folder="cdn")
        return {"output": links, "file": links[0], "proxy_links": mirrors, "mirror": mirrors[0]}
    given: Any = job.output
    copies: Any = given if isinstance(given, list) else []
    return {"output": given, "file": given, "proxy_links": copies, "mirror": ""}


def links_of(job: Job, site: Site) -> object:
    """What a job gives as its output: links, or what was planted instead."""
    return _results(job, site)["output"]


def _common(job: Job) -> dict[str, Any]:
    return {
        "id": _written(job.ticket.id),
        "text": job.ticket.id,
        "in_background": messages.in_background(job.suffix),
        "upsell": messages.UPSELL,
        "how": messages.HOW,
        "wait": messages.WAIT,
        "has_been_queued": messages.QUEUED,
    }


def meta_of(job: Job, dialect: Dialect) -> dict[str, Any]:
    """The parameters of a job as replies repeat them."""
    names = _RENAMED if dialect.renamed else {}
    return {
        **{names.get(name, name): value for name, value in job.fields.items()},
        "webhook": job.fields.get("webhook"),
        "track_id": job.fields.get("track_id"),
        "id": job.ticket.id,
        "file_prefix": f"{job.ticket.id}.{job.suffix}",
    }


def _etas(seconds: float | None) -> dict[str, Any]:
    if seconds is None:
        return {}
    return {"eta": ceil(seconds), "fraction": round(float(seconds), 2)}


def queued(job: Job, site: Site, *, fetch_result: str, eta: float | None) -> dict[str, Any]:
    """The submit reply of work that has just begun."""
    dialect = dialect_of(job.work)
    links = site.links(job)
    facts = {
        **_common(job),
        **_etas(eta),
        "fetch_result": fetch_result,
        "future_links": links,
        "proxy_links": site.links(job, folder="cdn"),
        "file_name": links[0].partition("?")[0].rpartition("/")[2],
        "meta": meta_of(job, dialect),
    }
    return dialect.queued.body(facts)


def at_once(job: Job, site: Site, *, eta: float | None) -> dict[str, Any]:
    """The submit reply of work that is already over."""
    if job.fails:
        return messages.FAILED
    dialect = dialect_of(job.work)
    facts = {
        **_common(job),
        **_results(job, site),
        **_etas(eta),
        "generationTime": max(0.0, float(job.duration)),
        "future_links": site.links(job),
        "meta": meta_of(job, dialect),
    }
    return dialect.at_once.body(facts)


@lru_cache(maxsize=256)
def _running(work: str) -> bytes:
    shape = dialect_of(work).running
    return messages.encode(shape.body({"later": messages.LATER, "upsell": messages.UPSELL}))


def _generation(job: Job, work: str, now: float, site: Site) -> bytes:
    if not job.ended(now):
        return _running(work)
    if job.fails:
        return messages.encode(messages.FAILED)
    shape = dialect_of(work).done
    return messages.encode(shape.body({**_common(job), **_results(job, site)}))


def _training(job: Job, _work: str, now: float, _site: Site) -> bytes:
    if job.ended(now):
        if job.fails:
            return messages.encode(messages.refusal(messages.TRAINING_FAILED, spelled="messege"))
        stage, passed = READY, len(STAGES)
    else:
        passed = int(job.age(now) / job.duration * len(STAGES))
        stage = STAGES[passed]
    log = "".join(
        f" /n Step:{step} {name}" for step, name in enumerate((*STAGES[:passed], stage), 1)
    )
    return messages.encode({"status": "success", "messege": stage, "data": log})


def training_started(job: Job) -> dict[str, Any]:
    """The submit reply of a training."""
    return {
        "status": "success",
        "messege": STAGES[0],
        "data": "it will take upto 30 minutes.",
        "training_id": job.ticket.id,
    }


def date_of(seconds: float) -> str:
    """A moment of the emulator's clock as a date."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _workflow(job: Job, _work: str, now: float, site: Site) -> bytes:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    ended = job.ended(now)
    if ended:
        word = "failed" if job.fails else "completed"
    else:
        word = "running" if job.age(now) >= job.duration * _PENDING_SHARE else "pending"
    times = {
        "started_at": date_of(job.started),
        "completed_at": date_of(job.started + job.duration) if ended else None,
    }
    body: dict[str, Any] = {
        "status": "success",
        "execution": {
            "id": _written(run_id),
            "workflow_id": workflow_id,
            "status": word,
            **times,
            "execution_time": round(float(job.duration), 3) if ended else None,
        },
        "steps": [{"name": "Text to Image", "status": word, **times}],
    }
    if ended and job.fails:
        body["error"] = messages.RUN_FAILED
    elif ended:
        results = _results(job, site)
        body["output"] = {name: results[name] for name in ("output", "proxy_links")} | {
            "status": "success"
        }
    return messages.encode(body)


def workflow_started(job: Job, status_url: str) -> dict[str, Any]:
    """The submit reply of a workflow run."""
    workflow_id, _, run_id = job.ticket.id.partition("/")
    body = {
        "status": "success",
        "message": "Workflow execution started.",
        "execution_id": _written(run_id),
        "workflow_id": workflow_id,
        "status_url": status_url,
    }
    webhook = job.fields.get("webhook_url", job.fields.get("webhook"))
    return body if webhook is None else {**body, "webhook_url": webhook}


_BY_RULE: Mapping[StatusRule, Callable[[Job, str, float, Site], bytes]] = {
    "generation": _generation,
    "training": _training,
    "workflow": _workflow,
}

_MISSING: Mapping[StatusRule, tuple[int, dict[str, Any]]] = {
    "generation": (200, messages.NOT_FOUND),
    "training": (404, messages.refusal(messages.NO_TRAINING, spelled="messege")),
    "workflow": (404, messages.refusal(messages.NO_RUN)),
}


def fetched(job: Job, rule: StatusRule, *, work: str, now: float, site: Site) -> bytes:
    """The fetch reply about a job, in the words of the family that was asked."""
    return _BY_RULE[rule](job, work, now, site)


def missing(rule: StatusRule) -> tuple[int, bytes]:
    """The fetch reply about an id that nobody knows."""
    status_code, body = _MISSING[rule]
    return status_code, messages.encode(body)
