"""Ledger: which jobs there are, under which ids, and whose queue they fill. Never reads a clock."""

from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from string import ascii_letters, digits
from uuid import UUID

from attrs import field, frozen

from .jobs import Job
from .routes import FamilyGroup

_FIRST_ID = 134_000_001
_ID_CHARACTERS = ascii_letters + digits
_UUID_JOB_TYPES = ("enterprise_voice/sfx",)


def _no_headers() -> dict[str, str]:
    return {}


@frozen
class ScriptedReply:
    """
    One reply, byte by byte.

    Args:
        status_code: The HTTP status.
        body: The body.
        headers: The headers; JSON is the content type unless they name one.
    """

    status_code: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=_no_headers, hash=False)


class JobStore:
    """
    Every job, by shelf and id.

    Args:
        random: Where ids that are not counted come from.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._jobs: dict[tuple[str, str], Job] = {}
        self._scripts: dict[tuple[str, str], deque[ScriptedReply | None]] = {}
        self._queues: dict[str, list[Job]] = {}
        self._next_id = _FIRST_ID

    def put(self, job: Job, family_groups: Iterable[FamilyGroup]) -> None:
        """Keep a job where these shelves find it."""
        for family_group in family_groups:
            self._jobs[family_group.path, job.ticket.id] = job

    def find(self, family_group: FamilyGroup, id_: str) -> Job | None:
        """The job of this id on this shelf."""
        return self._jobs.get((family_group.path, id_))

    def script_replies(
        self, family_group: FamilyGroup, id_: str, replies: Iterable[ScriptedReply | None]
    ) -> None:
        """Answer fetches of this id with these replies, the last one again and again."""
        script = deque(replies)
        if not script:
            raise ValueError("a script has at least one reply")
        self._scripts[family_group.path, id_] = script

    def scripted(self, family_group: FamilyGroup, id_: str) -> ScriptedReply | None:
        """The next reply of a script; None: the truth is to be told."""
        script = self._scripts.get((family_group.path, id_))
        if not script:
            return None
        return script.popleft() if len(script) > 1 else script[0]

    def queued_count(self, key: str, now: float) -> int:
        """How many submitted jobs of this key are unfinished."""
        queue = [job for job in self._queues.get(key, ()) if not job.has_ended(now)]
        self._queues[key] = queue
        return len(queue)

    def enqueue(self, key: str, job: Job) -> None:
        """Count a submitted job for its key."""
        self._queues.setdefault(key, []).append(job)

    def new_id(self, family_group: FamilyGroup, *, job_type: str, workflow: str = "") -> str:
        """An id that this shelf does not know yet, in the form of its family."""
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
