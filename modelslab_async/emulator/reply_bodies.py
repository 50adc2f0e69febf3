"""Builds the bodies of the emulator's replies about a job."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any
from urllib.parse import quote
from zlib import crc32

from attrs import frozen

from modelslab_async._registry.family import StatusRule

from . import shared_replies
from .family_reply_formats import FamilyFormat, format_of
from .job import Job
from .media.files import MediaFile, as_base64, make_file
from .routes import MEDIA_PATH

STAGES = (
    "deploying_gpu",
    "training_started",
    "training_success",
    "trained_model_compressing",
    "trained_model_uploading",
    "trained_model_uploaded",
    "deploying_model",
)
READY_STAGE = "model_ready"
_PENDING_SHARE = 0.1
# The date of 0 s on the emulator's clock, in replies and webhooks.
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_MODEL_PARAMETER_NAMES = {
    "width": "W",
    "height": "H",
    "samples": "n_samples",
    "num_inference_steps": "steps",
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_INTEGER_PARAMETERS = frozenset((*_MODEL_PARAMETER_NAMES, "steps", "seed"))


@frozen
class URLBuilder:
    """
    Builds the URLs in a reply. They lead to the host that the request was sent to.

    Args:
        origin: The scheme and the host, such as `http://127.0.0.1:8000`.
        path_prefix: The prefix of the API's paths: `/api` or nothing.
        query: The query string of links to files, with the question mark.
    """

    origin: str
    path_prefix: str
    query: str = ""

    def url(self, path: str) -> str:
        """Return the URL of an API path."""
        return f"{self.origin}{self.path_prefix}/{path}"

    def links(self, job: Job, *, folder: str = "generations") -> list[str]:
        """Return the links to the files of a job."""
        id_ = quote(job.ticket.id, safe="")
        stem = f"{self.origin}/{MEDIA_PATH}/{folder}/{job.ticket.family}/{id_}"
        return [
            f"{stem}-{number}.{job.link_suffix}{self.query}" for number in range(job.file_count)
        ]


def output_file(job: Job, number: int) -> MediaFile:
    """Make one file of a job."""
    file = make_file(f"{job.ticket}#{number}", job.suffix, str(job.fields.get("prompt") or ""))
    return as_base64(file) if job.in_base64 else file


def _json_id(id_: str) -> int | str:
    return int(id_) if id_.isascii() and id_.isdigit() else id_


def _output_values(job: Job, urls: URLBuilder) -> dict[str, Any]:
    """Return the values that describe a job's output, keyed by their names in a `BodyTemplate`."""
    if job.output is None:
        links = urls.links(job)
        mirrors = urls.links(job, folder="cdn")
        return {"output": links, "file": links[0], "proxy_links": mirrors, "mirror": mirrors[0]}
    given: Any = job.output
    given_list: Any = given if isinstance(given, list) else []
    return {"output": given, "file": given, "proxy_links": given_list, "mirror": ""}


def output_of(job: Job, urls: URLBuilder) -> object:
    """Return the output of a job: its links, or the output given to `add_job`."""
    return _output_values(job, urls)["output"]


def _common_values(job: Job) -> dict[str, Any]:
    return {
        "id": _json_id(job.ticket.id),
        "text": job.ticket.id,
        "in_background": shared_replies.background_tip(job.suffix),
        "upsell": shared_replies.UPSELL,
        "how": shared_replies.FETCH_HOW_TO,
        "wait": shared_replies.WAIT_FOR_ETA,
        "has_been_queued": shared_replies.REQUEST_QUEUED,
    }


def _typed(job: Job, name: str, value: object) -> object:
    """Return a parameter as the service's replies show it: counts and sizes become integers."""
    if name == "seed" and value in (None, ""):
        # The service draws a seed if the submit has none. The emulator derives it from the id.
        return crc32(job.ticket.id.encode())
    text = str(value).removesuffix(".0")
    is_integer = name in _INTEGER_PARAMETERS and _INTEGER.fullmatch(text)
    return int(text) if is_integer else value


def meta_of(job: Job, family_format: FamilyFormat) -> dict[str, Any]:
    """Return the field `meta` of a job's replies. It repeats the parameters of the submit."""
    names = _MODEL_PARAMETER_NAMES if family_format.uses_model_names else {}
    return {
        **{names.get(name, name): _typed(job, name, value) for name, value in job.fields.items()},
        "webhook": job.fields.get("webhook"),
        "track_id": job.fields.get("track_id"),
        "id": job.ticket.id,
        "file_prefix": f"{job.ticket.id}.{job.suffix}",
    }


def _eta_values(seconds: float | None) -> dict[str, Any]:
    if seconds is None:
        return {}
    return {"eta": ceil(seconds), "fraction": round(float(seconds), 2)}


def queued(job: Job, urls: URLBuilder, *, fetch_result: str, eta: float | None) -> dict[str, Any]:
    """Return the reply to a submit whose job has just started."""
    family_format = format_of(job.job_type)
    links = urls.links(job)
    values = {
        **_common_values(job),
        **_eta_values(eta),
        "fetch_result": fetch_result,
        "future_links": links,
        "proxy_links": urls.links(job, folder="cdn"),
        "file_name": links[0].partition("?")[0].rpartition("/")[2],
        "meta": meta_of(job, family_format),
    }
    return family_format.queued.body(values)


def immediate(job: Job, urls: URLBuilder, *, eta: float | None) -> dict[str, Any]:
    """Return the reply to a submit whose job has already ended."""
    if job.fails:
        return shared_replies.FAILED
    family_format = format_of(job.job_type)
    values = {
        **_common_values(job),
        **_output_values(job, urls),
        **_eta_values(eta),
        "generationTime": max(0.0, float(job.duration)),
        "future_links": urls.links(job),
        "meta": meta_of(job, family_format),
    }
    return family_format.immediate.body(values)


@lru_cache(maxsize=256)
def _running_body(job_type: str) -> bytes:
    template = format_of(job_type).running
    return shared_replies.encode(
        template.body({"later": shared_replies.TRY_LATER, "upsell": shared_replies.UPSELL})
    )


def _generation(job: Job, job_type: str, now: float, urls: URLBuilder) -> bytes:
    if not job.has_ended(now):
        return _running_body(job_type)
    if job.fails:
        return shared_replies.encode(shared_replies.FAILED)
    template = format_of(job_type).done
    return shared_replies.encode(
        template.body({**_common_values(job), **_output_values(job, urls)})
    )


def _training(job: Job, _job_type: str, now: float, _urls: URLBuilder) -> bytes:
    if job.has_ended(now):
        if job.fails:
            return shared_replies.encode(
                shared_replies.refusal(shared_replies.TRAINING_FAILED, message_field="messege")
            )
        stage, finished_count = READY_STAGE, len(STAGES)
    else:
        finished_count = int(job.age(now) / job.duration * len(STAGES))
        stage = STAGES[finished_count]
    log = "".join(
        f" /n Step:{step} {name}" for step, name in enumerate((*STAGES[:finished_count], stage), 1)
    )
    return shared_replies.encode({"status": "success", "messege": stage, "data": log})


def training_started(job: Job) -> dict[str, Any]:
    """Return the reply to a submit that starts a training."""
    return {
        "status": "success",
        "messege": STAGES[0],
        "data": "it will take upto 30 minutes.",
        "training_id": job.ticket.id,
    }


def date_of(seconds: float) -> str:
    """Return a time on the emulator's clock as a date."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _workflow(job: Job, _job_type: str, now: float, urls: URLBuilder) -> bytes:
    workflow_id, _, run_id = job.ticket.id.partition("/")
    has_ended = job.has_ended(now)
    if has_ended:
        word = "failed" if job.fails else "completed"
    else:
        word = "running" if job.age(now) >= job.duration * _PENDING_SHARE else "pending"
    times = {
        "started_at": date_of(job.started),
        "completed_at": date_of(job.started + job.duration) if has_ended else None,
    }
    body: dict[str, Any] = {
        "status": "success",
        "execution": {
            "id": _json_id(run_id),
            "workflow_id": workflow_id,
            "status": word,
            **times,
            "execution_time": round(float(job.duration), 3) if has_ended else None,
        },
        "steps": [{"name": "Text to Image", "status": word, **times}],
    }
    if has_ended and job.fails:
        body["error"] = shared_replies.EXECUTION_FAILED
    elif has_ended:
        results = _output_values(job, urls)
        body["output"] = {name: results[name] for name in ("output", "proxy_links")} | {
            "status": "success"
        }
    return shared_replies.encode(body)


def workflow_started(job: Job, status_url: str) -> dict[str, Any]:
    """Return the reply to a submit that starts a workflow run."""
    workflow_id, _, run_id = job.ticket.id.partition("/")
    body = {
        "status": "success",
        "message": "Workflow execution started.",
        "execution_id": _json_id(run_id),
        "workflow_id": workflow_id,
        "status_url": status_url,
    }
    webhook = job.fields.get("webhook_url", job.fields.get("webhook"))
    return body if webhook is None else {**body, "webhook_url": webhook}


_BY_RULE: Mapping[StatusRule, Callable[[Job, str, float, URLBuilder], bytes]] = {
    "generation": _generation,
    "training": _training,
    "workflow": _workflow,
}

_UNKNOWN_ID: Mapping[StatusRule, tuple[int, dict[str, Any]]] = {
    "generation": (200, shared_replies.NOT_FOUND),
    "training": (
        404,
        shared_replies.refusal(shared_replies.TRAINING_NOT_FOUND, message_field="messege"),
    ),
    "workflow": (404, shared_replies.refusal(shared_replies.EXECUTION_NOT_FOUND)),
}


def fetched(job: Job, rule: StatusRule, *, job_type: str, now: float, urls: URLBuilder) -> bytes:
    """
    Return the reply to a poll of a job.

    Args:
        job: The job.
        rule: How replies of the polled family report the status.
        job_type: The name of a family or an endpoint. It selects the format of the reply.
        now: The time on the emulator's clock.
        urls: Builds the links in the reply.
    """
    return _BY_RULE[rule](job, job_type, now, urls)


def unknown_id(rule: StatusRule) -> tuple[int, bytes]:
    """Return the HTTP status and the body of the reply to a poll of an unknown id."""
    status_code, body = _UNKNOWN_ID[rule]
    return status_code, shared_replies.encode(body)
