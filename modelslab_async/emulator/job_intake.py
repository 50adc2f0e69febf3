"""Intake: how jobs come to be, planted or submitted, and what submits are told. Has no clock."""

from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import frozen

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.family import Family

from . import reply_bodies
from .family_formats import usual_suffix
from .job_store import Ledger
from .jobs import Job, Jobs
from .reply_bodies import Site
from .routes import Routes, Submit
from .served_endpoints import DEPLOYED_AS, NAMED_FETCH, family_of, suffix_of

_PLANTED_WORKFLOW = "workflow-1"
_MOST_FILES = 4


@frozen(kw_only=True)
class Submitted:
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


class Intake:
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
        self.ledger = Ledger(self._random)
        self._jobs = jobs
        self._shelves = routes.shelves

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

    def new_ticket(self, name: str, *, work: str = "", workflow: str = _PLANTED_WORKFLOW) -> Ticket:
        """A ticket of this family that names no job yet."""
        self.family(name)
        id_ = self.ledger.new_id(self._shelves[name], work=work, workflow=workflow)
        return Ticket(name, id_)

    def plant(
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
            work=family.name,
            suffix=usual_suffix(family.name, family.output),
            started=now,
            duration=seconds if duration is None else duration,
            fails=failing if fails is None else fails,
            output=output,
        )
        self.ledger.put(job, (self._shelves[family.name],))
        return job

    def start(self, route: Submit, fields: Mapping[str, Any], *, now: float) -> Job:
        """Start the job that a submit asks for."""
        endpoint = route.endpoint
        named = family_of(endpoint)
        family = self.family(self._deployed(endpoint.resolved_by or named, fields))
        deployed = family.name != endpoint.resolved_by
        work = endpoint.name.replace(named, family.name, 1) if deployed else endpoint.name
        seconds, fails = self._jobs.submitted(self._random)
        job = Job(
            ticket=self.new_ticket(
                family.name, work=work, workflow=route.places.get("workflow_id", "")
            ),
            work=work,
            suffix=suffix_of(endpoint, family),
            started=now,
            duration=seconds,
            fails=fails,
            fields=dict(fields),
            files=_count(fields) if "image" in family.output else 1,
        )
        # Some work is found by the family that names it as well as by that of its tickets.
        names = (family.name, NAMED_FETCH.get(work, family.name), named)
        self.ledger.put(job, [self._shelves[name] for name in names if name in self._shelves])
        return job

    def upload(self, name: str, *, now: float) -> Job:
        """Keep what was uploaded for this family, as a job that is over."""
        family = name if name in self.families else next(iter(self.families))
        ticket = self.new_ticket(family)
        return self.plant(ticket, now=now, duration=0.0, fails=False, output=None)

    def _deployed(self, family: str, fields: Mapping[str, Any]) -> str:
        """The family that a submit is for: some share their paths."""
        deployed = DEPLOYED_AS.get((family, str(fields.get("deploy_type"))), family)
        return deployed if deployed in self.families else family

    def reply(self, job: Job, site: Site, *, now: float) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the body of the reply to the submit that started this job."""
        own = self._shelves[job.ticket.family]
        if own.family.status == "training":
            return 200, reply_bodies.training_started(job)
        if own.family.status == "workflow":
            workflow, _, run = job.ticket.id.partition("/")
            url = site.url(own.path.replace("{workflow_id}", workflow))
            return 202, reply_bodies.workflow_started(job, f"{url}/{run}")
        eta = self._jobs.announced(job.duration)
        if job.ended(now) and not _yes(job.fields.get("instant_response")):
            return 200, reply_bodies.at_once(job, site, eta=eta)
        named = self._shelves.get(NAMED_FETCH.get(job.work, job.ticket.family), own)
        url = site.url(f"{named.path}/{job.ticket.id}")
        return 200, reply_bodies.queued(job, site, fetch_result=url, eta=eta)


def _yes(value: object) -> bool:
    return value is True or str(value).lower() in ("yes", "true")


def _count(fields: Mapping[str, Any]) -> int:
    """How many files are wanted; old clients write numbers as strings."""
    wanted = str(fields.get("samples") or 1)
    return min(max(1, int(wanted)), _MOST_FILES) if wanted.isdecimal() else 1
