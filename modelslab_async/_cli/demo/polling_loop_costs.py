"""
Computes how the polling loops of other clients would handle the demo's jobs.

The cost of a loop is its number of polls, and its delay in noticing the end of a job. Each loop
follows its client's published code of November 2026. The computation favours the other clients: all
jobs start at the same moment, replies take no time, and no poll fails.
"""

import math
from collections.abc import Iterable
from statistics import mean, median

from attrs import frozen

from .planned_jobs import PlannedJob


@frozen(kw_only=True)
class PollingLoop:
    """
    The polling loop of another client. The loop polls one job at fixed intervals.

    Attributes:
        name: The name of the client.
        first_poll_s: The seconds from the start of the job to the first poll.
        interval_s: The seconds between two polls.
        max_polls: How many polls the loop makes before it gives up. None means that it never gives
            up.
        ends_on_failure: Whether the loop ends when a reply says that the job has failed. If not,
            the loop polls until it gives up.
    """

    name: str
    first_poll_s: float
    interval_s: float
    max_polls: int | None = None
    ends_on_failure: bool = True

    def simulate(self, job: PlannedJob) -> tuple[int, float | None]:
        """
        Return how many times the loop polls a job, and how late the loop stops.

        The second value is the seconds from the end of the job to the end of the loop. It is None
        if the loop gives up before the job ends.
        """
        polls = max(0, math.ceil((job.duration - self.first_poll_s) / self.interval_s)) + 1
        if self.max_polls is not None and polls > self.max_polls:
            return self.max_polls, None
        if self.max_polls is not None and job.fails and not self.ends_on_failure:
            # The loop sleeps once more after its last poll, before it gives up.
            return self.max_polls, self._time_of(self.max_polls) - job.duration
        return polls, self._time_of(polls - 1) - job.duration

    def _time_of(self, poll: int) -> float:
        return self.first_poll_s + poll * self.interval_s


OTHER_LOOPS = (
    # fal_client asks for the status at once, and then every tenth of a second.
    PollingLoop(name="fal", first_poll_s=0.0, interval_s=0.1),
    # `Prediction.wait` of replicate sleeps half a second before each poll.
    PollingLoop(name="replicate", first_poll_s=0.5, interval_s=0.5),
    # `fetch` of the official JavaScript and Go clients polls up to ten times, two seconds apart.
    # Only the status `success` ends the loop earlier.
    PollingLoop(
        name="official JS, Go",
        first_poll_s=0.0,
        interval_s=2.0,
        max_polls=10,
        ends_on_failure=False,
    ),
    # `fetch` of the official Python client polls up to ten times, 60 seconds apart. Only the status
    # `success` ends the loop earlier.
    PollingLoop(
        name="official Python",
        first_poll_s=0.0,
        interval_s=60.0,
        max_polls=10,
        ends_on_failure=False,
    ),
)


def describe_polling(polls_a_ticket: float, lateness: Iterable[float], given_up: int = 0) -> str:
    """Return a text about a client: its polls per ticket, and how late it noticed ended jobs."""
    late = list(lateness)
    parts = [f"{polls_a_ticket:6.1f} polls a ticket"]
    if late:
        parts.append(f"{median(late):6.2f} s late in the median, {max(late):7.2f} s at worst")
    if given_up:
        parts.append(f"gave up on {given_up:,}")
    return ", ".join(parts)


def compare_loops(jobs: Iterable[PlannedJob]) -> list[tuple[str, str]]:
    """Return the name of each client, with a text about the cost of its loop for these jobs."""
    planned = list(jobs)
    rows: list[tuple[str, str]] = []
    for loop in OTHER_LOOPS:
        results = [loop.simulate(job) for job in planned]
        lateness = [late for _, late in results if late is not None]
        text = describe_polling(
            mean(polls for polls, _ in results), lateness, len(planned) - len(lateness)
        )
        rows.append((loop.name, text))
    return rows
