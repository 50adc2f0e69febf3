"""Job: one emulated job. Its duration and its result are fixed when it starts."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from modelslab_async._models.ticket import Ticket

BASE64_SUFFIX = "base64"


@frozen(kw_only=True)
class Job:
    """
    One job. How long it takes and how it ends are decided when it starts.

    So the state of the job at any time can be computed from its attributes.

    Args:
        ticket: The ticket of the job.
        job_type: The name of a family or an endpoint. It selects the format of the job's replies.
        suffix: The file type of the results, such as `png`.
        started: When the job started, on the emulator's clock.
        duration: How many seconds the job takes.
        fails: Whether the job fails.
        fields: The parameters of the submit, without the API key.
        file_count: How many files the job makes.
        output: The output in the replies. With None, the output is links to files.
        in_base64: Whether the files hold the results as base64 text.
    """

    ticket: Ticket
    job_type: str
    suffix: str
    started: float
    duration: float
    fails: bool
    fields: Mapping[str, Any] = field(factory=dict[str, Any])
    file_count: int = 1
    output: object = None
    in_base64: bool = False

    @property
    def link_suffix(self) -> str:
        """The suffix of the links to the job's files: the file type, or `base64`."""
        return BASE64_SUFFIX if self.in_base64 else self.suffix

    def age(self, now: float) -> float:
        """Return the seconds since the start of the job, but at most its duration."""
        return min(now - self.started, self.duration)

    def has_ended(self, now: float) -> bool:
        """Return whether the job has succeeded or failed."""
        return now - self.started >= self.duration

    def has_succeeded(self, now: float) -> bool:
        """Return whether the job has ended successfully."""
        return not self.fails and self.has_ended(now)
