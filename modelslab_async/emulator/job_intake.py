"""Intake: how jobs come to be, planted or submitted, and what submits are told. Has no clock."""

from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import frozen

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import Family

from . import reply_bodies
from .family_formats import default_suffix
from .job_store import JobStore
from .jobs import Job, Jobs
from .reply_bodies import URLBuilder
from .routes import Routes, SubmitRoute
from .served_endpoints import FAMILY_BY_DEPLOY_TYPE, FETCH_RESULT_FAMILY, family_name_of, suffix_of

_DEFAULT_WORKFLOW_ID = "workflow-1"
_MAX_FILES = 4


@frozen(kw_only=True)
class ReceivedSubmit:
    """
    One submit that was received.

    Args:
        family: The family of its tickets.
        endpoint: The name of its endpoint.
        path: Its path.
        fields: Its parameters, without the key.
        ticket: What it started; None: it was refused.
    """

    family: str
    endpoint: str
    path: str
    fields: Mapping[str, Any]
    ticket: Ticket | None


class JobIntake:
    """
    Starts jobs and keeps them in the ledger.

    Args:
        routes: Which shelves there are.
        families: The registry, or a part of it.
        jobs: How jobs behave.
    """

    def __init__(self, routes: Routes, *, families: Mapping[str, Family], jobs: Jobs) -> None:
        self.families = families
        # A stand-in wants the same jobs from the same seed; nothing here is a secret.
        self._random = Random(jobs.seed)  # noqa: S311
        self.job_store = JobStore(self._random)
        self._jobs = jobs
        self._family_groups = routes.family_groups

    def family(self, name: str) -> Family:
        """
        The family of this name.

        Raises:
            ValueError: There is none.
        """
        try:
            return self.families[name]
        except KeyError:
            raise ValueError(
                f"no family {name!r} here; the emulator has {', '.join(self.families)}"
            ) from None

    def new_ticket(
        self, name: str, *, job_type: str = "", workflow: str = _DEFAULT_WORKFLOW_ID
    ) -> Ticket:
        """A ticket of this family that names no job yet."""
        self.family(name)
        id_ = self.job_store.new_id(self._family_groups[name], job_type=job_type, workflow=workflow)
        return Ticket(name, id_)

    def add_job(
        self,
        ticket: Ticket,
        *,
        now: float,
        duration: float | None,
        fails: bool | None,
        output: object,
    ) -> Job:
        """Start a job that nobody submitted, with what is not given drawn."""
        family = self.family(ticket.family)
        family.check(ticket)
        seconds, failing = self._jobs.draw(self._random)
        job = Job(
            ticket=ticket,
            job_type=family.name,
            suffix=default_suffix(family.name, family.output),
            started=now,
            duration=seconds if duration is None else duration,
            fails=failing if fails is None else fails,
            output=output,
        )
        self.job_store.put(job, (self._family_groups[family.name],))
        return job

    def start(self, route: SubmitRoute, fields: Mapping[str, Any], *, now: float) -> Job:
        """Start the job that a submit asks for."""
        endpoint = route.endpoint
        named = family_name_of(endpoint)
        family = self.family(self._family_for_deploy_type(endpoint.resolved_by or named, fields))
        is_redeployed = family.name != endpoint.resolved_by
        job_type = endpoint.name.replace(named, family.name, 1) if is_redeployed else endpoint.name
        seconds, fails = self._jobs.draw_submitted(self._random)
        job = Job(
            ticket=self.new_ticket(
                family.name, job_type=job_type, workflow=route.path_params.get("workflow_id", "")
            ),
            job_type=job_type,
            suffix=suffix_of(endpoint, family),
            started=now,
            duration=seconds,
            fails=fails,
            fields=dict(fields),
            files=_file_count(fields) if "image" in family.output else 1,
        )
        # Some work is found by the family that names it as well as by that of its tickets.
        names = (family.name, FETCH_RESULT_FAMILY.get(job_type, family.name), named)
        self.job_store.put(
            job, [self._family_groups[name] for name in names if name in self._family_groups]
        )
        return job

    def upload(self, name: str, *, now: float) -> Job:
        """Keep what was uploaded for this family, as a job that is over."""
        family = name if name in self.families else next(iter(self.families))
        ticket = self.new_ticket(family)
        return self.add_job(ticket, now=now, duration=0.0, fails=False, output=None)

    def _family_for_deploy_type(self, family: str, fields: Mapping[str, Any]) -> str:
        """The family that a submit is for: some share their paths."""
        is_redeployed = FAMILY_BY_DEPLOY_TYPE.get((family, str(fields.get("deploy_type"))), family)
        return is_redeployed if is_redeployed in self.families else family

    def reply(self, job: Job, urls: URLBuilder, *, now: float) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the body of the reply to the submit that started this job."""
        own_group = self._family_groups[job.ticket.family]
        if own_group.family.status == "training":
            return 200, reply_bodies.training_started(job)
        if own_group.family.status == "workflow":
            workflow, _, run = job.ticket.id.partition("/")
            url = urls.url(own_group.path.replace("{workflow_id}", workflow))
            return 202, reply_bodies.workflow_started(job, f"{url}/{run}")
        eta = self._jobs.announced_eta(job.duration)
        if job.has_ended(now) and not _is_yes(job.fields.get("instant_response")):
            return 200, reply_bodies.immediate(job, urls, eta=eta)
        named = self._family_groups.get(
            FETCH_RESULT_FAMILY.get(job.job_type, job.ticket.family), own_group
        )
        url = urls.url(f"{named.path}/{job.ticket.id}")
        return 200, reply_bodies.queued(job, urls, fetch_result=url, eta=eta)


def _is_yes(value: object) -> bool:
    return value is True or str(value).lower() in ("yes", "true")


def _file_count(fields: Mapping[str, Any]) -> int:
    """How many files are wanted; old clients write numbers as strings."""
    wanted = str(fields.get("samples") or 1)
    return min(max(1, int(wanted)), _MAX_FILES) if wanted.isdecimal() else 1
