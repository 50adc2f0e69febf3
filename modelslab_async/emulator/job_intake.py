"""JobIntake: starts jobs, and replies to their submits. Callers pass the time as `now`."""

from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import field, frozen

from modelslab_async._models.short_repr import short_repr
from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import Family

from . import reply_bodies
from .family_reply_formats import default_suffix
from .job import Job
from .job_settings import Jobs
from .job_store import JobStore
from .reply_bodies import URLBuilder
from .request_fields import read_count
from .routes import Routes, SubmitRoute
from .served_endpoints import FAMILY_BY_DEPLOY_TYPE, FETCH_RESULT_FAMILY, family_name_of, suffix_of

_DEFAULT_WORKFLOW_ID = "workflow-1"
_MAX_FILE_COUNT = 4


@frozen(kw_only=True)
class ReceivedSubmit:
    """
    One submit that the emulator received.

    Args:
        family: The family of the ticket. For a refused submit, the family that the endpoint's
            tickets usually have.
        endpoint: The name of the endpoint.
        path: The path of the request, without `/api`.
        fields: The parameters, without the API key.
        ticket: The ticket of the job that the submit started, or None for a refused submit.
    """

    family: str
    endpoint: str
    path: str
    fields: Mapping[str, Any] = field(repr=short_repr)
    ticket: Ticket | None


class JobIntake:
    """
    Starts jobs and stores them.

    Args:
        routes: The routes. They say which families are polled at the same URL.
        families: The registry, or a part of it.
        jobs: How long jobs take and how they end.

    Attributes:
        families: The served families, keyed by name.
        job_store: Holds every job that was started.
    """

    def __init__(self, routes: Routes, *, families: Mapping[str, Family], jobs: Jobs) -> None:
        self.families = families
        # The random generator is seeded, since the same seed must give the same jobs. No security
        # depends on it.
        self._random = Random(jobs.seed)  # noqa: S311
        self.job_store = JobStore(self._random)
        self._jobs = jobs
        self._family_groups = routes.family_groups

    def family(self, name: str) -> Family:
        """
        Return the family with this name.

        Raises:
            ValueError: The emulator does not serve this family.
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
        """Make a ticket of this family for a job that does not exist yet."""
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
        """Start a job without a submit. If `duration` or `fails` is None, draw it at random."""
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
        endpoint_family = family_name_of(endpoint)
        family = self.family(
            self._family_for_deploy_type(endpoint.resolved_by or endpoint_family, fields)
        )
        job_type = endpoint.name
        if family.name != endpoint.resolved_by:
            job_type = job_type.replace(endpoint_family, family.name, 1)
        seconds, fails = self._jobs.draw_submitted(self._random, family.name)
        job = Job(
            ticket=self.new_ticket(
                family.name, job_type=job_type, workflow=route.path_params.get("workflow_id", "")
            ),
            job_type=job_type,
            suffix=suffix_of(endpoint, family, fields),
            started=now,
            duration=seconds,
            fails=fails,
            fields=dict(fields),
            file_count=_file_count(fields) if "image" in family.output else 1,
            in_base64=_is_yes(fields.get("base64")),
        )
        # For some jobs, the ticket, the `fetch_result` link and the endpoint name different
        # families. A client may poll in any of these families, so the job is stored under each.
        names = (family.name, FETCH_RESULT_FAMILY.get(job_type, family.name), endpoint_family)
        self.job_store.put(
            job, [self._family_groups[name] for name in names if name in self._family_groups]
        )
        return job

    def upload(self, name: str, *, now: float) -> Job:
        """
        Make a job for an uploaded file. The job has already succeeded.

        The emulator does not keep the uploaded file. The job's link leads to a file that the
        emulator makes. `name` is the family of the job. If the emulator does not serve this family,
        the job belongs to the first family.
        """
        family = name if name in self.families else next(iter(self.families))
        ticket = self.new_ticket(family)
        return self.add_job(ticket, now=now, duration=0.0, fails=False, output=None)

    def _family_for_deploy_type(self, family: str, fields: Mapping[str, Any]) -> str:
        """Return the family that the submit's field `deploy_type` selects, or else `family`."""
        deployed = FAMILY_BY_DEPLOY_TYPE.get((family, str(fields.get("deploy_type"))), family)
        return deployed if deployed in self.families else family

    def reply(self, job: Job, urls: URLBuilder, *, now: float) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body of the reply to the submit that started this job."""
        own_group = self._family_groups[job.ticket.family]
        if own_group.family.status == "training":
            return 200, reply_bodies.training_started(job)
        if own_group.family.status == "workflow":
            workflow_id, _, run_id = job.ticket.id.partition("/")
            url = urls.url(own_group.path.replace("{workflow_id}", workflow_id))
            return 202, reply_bodies.workflow_started(job, f"{url}/{run_id}")
        eta = self._jobs.announced_eta(job.duration)
        if job.has_ended(now) and not _is_yes(job.fields.get("instant_response")):
            return 200, reply_bodies.immediate(job, urls, eta=eta)
        fetch_group = self._family_groups.get(
            FETCH_RESULT_FAMILY.get(job.job_type, job.ticket.family), own_group
        )
        url = urls.url(f"{fetch_group.path}/{job.ticket.id}")
        return 200, reply_bodies.queued(job, urls, fetch_result=url, eta=eta)


def _is_yes(value: object) -> bool:
    return str(value).lower() in ("yes", "true", "1")


def _file_count(fields: Mapping[str, Any]) -> int:
    """Return how many files a submit asks for in `samples`, which may be an int or a string."""
    wanted = str(fields.get("samples") or 1)
    return max(1, read_count(wanted, most=_MAX_FILE_COUNT)) if wanted.isdecimal() else 1
