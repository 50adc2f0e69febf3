"""Mutations of batches and their journal. Applies none of them."""

from .mutation import TABLE, WALL_CLOCK, Mutation

MUTATIONS = [
    Mutation(
        "wall clock set: two runs report one ticket",
        "_journal/tickets.py",
        "written = [db.execute(_COMPLETE, change).rowcount == 1 for change in changes]",
        "written = [db.execute(_COMPLETE, change).rowcount >= 0 for change in changes]",
        WALL_CLOCK,
        "one_of_two_runs",
    ),
    Mutation(
        "wall clock set: two runs go on polling",
        "_batch/leased_tickets.py",
        "if not await self._journal.leases.renew(self._run_id, lease=self.duration):",
        "await self._journal.leases.renew(self._run_id, lease=self.duration)\n"
        "                if False:",
        WALL_CLOCK,
        "polls_no_more",
    ),
    Mutation(
        "table: a row is paid for again after a restart",
        "_batch/journal_submit_recorder.py",
        "key=submit_request.key,",
        "key=None,",
        TABLE,
        "second_call",
    ),
    Mutation(
        "table: an uncertain row is sent again",
        "_batch/batch_generation.py",
        "return Unsubmitted(cause=uncertain_error(recorded))",
        "await self._journal.withdraw(recorded.track_id)",
        TABLE,
        "uncertain_submission",
    ),
    Mutation(
        "table: more is queued after a restart than the plan allows",
        "_batch/batch_generation.py",
        "await self._hold_slots()",
        "pass",
        TABLE,
        "ended_process",
    ),
]
