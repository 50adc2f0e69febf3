"""JobStore: holds all jobs, and the queue of each API key. Callers pass the time as `now`."""

from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from string import ascii_letters, digits
from uuid import UUID

from attrs import field, frozen

from modelslab_async._models.short_repr import short_repr
from modelslab_async._registry.family import StatusRule

from .job import Job
from .routes import FamilyGroup

_FIRST_ID = 134_000_001
_ID_CHARACTERS = ascii_letters + digits
_UUID_JOB_TYPES = ("enterprise_voice/sfx",)


@frozen
class ScriptedReply:
    """
    A reply that a test chose. The emulator sends it unchanged in place of its own reply.

    Args:
        status_code: The HTTP status.
        body: The body.
        headers: The headers. Without a `content-type` among them, the content type is JSON.
    """

    status_code: int = 200
    body: bytes = field(default=b"", repr=short_repr)
    headers: Mapping[str, str] = field(factory=dict[str, str], hash=False)


class JobStore:
    """
    Holds all jobs, the replies that tests chose, and the queue of each API key.

    Jobs are keyed by id and family group. A family group consists of the families that are polled
    at one URL. The queue of an API key holds the jobs that were submitted with the key and have not
    ended.

    Args:
        random: Chooses the ids of jobs whose family has random ids. Other ids are consecutive.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._jobs: dict[tuple[str, str], Job] = {}
        self._jobs_of_any_family: dict[tuple[StatusRule, str], Job] = {}
        self._scripts: dict[tuple[str, str], deque[ScriptedReply | None]] = {}
        self._queues: dict[str, list[Job]] = {}
        self._next_id = _FIRST_ID

    def put(self, job: Job, family_groups: Iterable[FamilyGroup]) -> None:
        """Store a job. Polls at the URLs of these family groups will find it."""
        for family_group in family_groups:
            self._jobs[family_group.path, job.ticket.id] = job
            self._jobs_of_any_family[family_group.family.status, job.ticket.id] = job

    def find(self, family_group: FamilyGroup, id_: str) -> Job | None:
        """Return the job with this id in the families of this group, or None."""
        return self._jobs.get((family_group.path, id_))

    def find_in_any_family(self, family_group: FamilyGroup, id_: str) -> Job | None:
        """
        Return the job with this id, or None.

        If this group has no such job, look in all families whose replies report the status in the
        same way. Some clients submit in one family and poll in another.
        """
        found = self.find(family_group, id_)
        return found or self._jobs_of_any_family.get((family_group.family.status, id_))

    def script_replies(
        self, family_group: FamilyGroup, id_: str, replies: Iterable[ScriptedReply | None]
    ) -> None:
        """
        Set the replies to the next polls of this id. All later polls get the last reply again.

        For each None, the emulator makes the reply itself.

        Raises:
            ValueError: There are no replies.
        """
        script = deque(replies)
        if not script:
            raise ValueError("a script has at least one reply")
        self._scripts[family_group.path, id_] = script

    def scripted(self, family_group: FamilyGroup, id_: str) -> ScriptedReply | None:
        """Return the next reply that a test chose, or None if the emulator must make the reply."""
        script = self._scripts.get((family_group.path, id_))
        if not script:
            return None
        return script.popleft() if len(script) > 1 else script[0]

    def queued_count(self, key: str, now: float) -> int:
        """Count the jobs that were submitted with this API key and have not ended."""
        queue = [job for job in self._queues.get(key, ()) if not job.has_ended(now)]
        self._queues[key] = queue
        return len(queue)

    def enqueue(self, key: str, job: Job) -> None:
        """Add a job to the queue of the API key with which it was submitted."""
        self._queues.setdefault(key, []).append(job)

    def new_id(self, family_group: FamilyGroup, *, job_type: str, workflow: str = "") -> str:
        """Make a new id for a job of these families, in the format of their ids."""
        while True:
            id_ = self._make_id(family_group, job_type, workflow)
            if (family_group.path, id_) not in self._jobs:
                return id_

    def _make_id(self, family_group: FamilyGroup, job_type: str, workflow: str) -> str:
        if family_group.family.status == "training":
            return "".join(self._random.choices(_ID_CHARACTERS, k=10))
        if job_type in _UUID_JOB_TYPES:
            return str(UUID(int=self._random.getrandbits(128), version=4))
        number = str(self._next_id)
        self._next_id += 1
        parts = len(family_group.family.id_parts)
        return number if parts <= 1 else "/".join((*(workflow,) * (parts - 1), number))
