"""What the owner of the slots is told about the end of a ticket."""

import math

import pytest

from modelslab_async import Failed, Pace, ServerError, Success, Ticket, Unresolved
from modelslab_async._aio.listeners import Listeners
from modelslab_async._polling.watchers import Notifier
from modelslab_async._scheduling.effects import Completion

TICKET = Ticket("images", 1)
SUCCESS, FAILED = Success(ticket=TICKET), Failed(ticket=TICKET, message="bad prompt")
NOT_FOUND = Failed(ticket=TICKET, message="no such id", reason="not_found")
UNRESOLVED = Unresolved(ticket=TICKET, cause=ServerError("no"))


@pytest.mark.parametrize(
    ("outcome", "was_running", "observed"),
    [
        (SUCCESS, False, 7.0),
        (FAILED, False, 7.0),
        (SUCCESS, True, math.inf),
        (FAILED, True, math.inf),
        (NOT_FOUND, True, -math.inf),
        (UNRESOLVED, True, -math.inf),
    ],
)
def test_polls_watch_a_job_since_they_began_or_saw_it_running(outcome, was_running, observed):
    """They do not see the end of a job that the server does not know or that is given up."""
    notifier, ends = Notifier(Listeners(None), Pace().limits), []
    notifier.on_completed = lambda ticket, completion: ends.append((ticket, completion.observed))
    notifier.report_completion(Completion(outcome, (), 3, 7.0, was_running))
    assert [(TICKET, observed)] == ends
