"""Mutations of batches and their journal. Applies none of them."""

from .mutation import STALLS, TABLE, WALL_CLOCK, Mutation

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
        "standstill: a submit is sent that another process may have settled",
        "_batch/in_flight_submits.py",
        "lease is not None and not lease.is_over",
        "lease is not None",
        STALLS,
        "recorded_again",
    ),
    Mutation(
        "standstill: a submit whose record is gone is sent again",
        "_batch/journal_submit_recorder.py",
        "if not await leases.withdraw_own(own):",
        "if not await leases.withdraw_own(own) and False:",
        STALLS,
        "another_process_sent",
    ),
    Mutation(
        "standstill: a process calls its own submit in flight uncertain",
        "_journal/run_operations.py",
        "if each.track_id not in own]",
        "]",
        "../batch/test_own_submits.py",
        "lease_is_over",
    ),
    Mutation(
        "standstill: a submit in flight is sent again once another process has withdrawn it",
        "_batch/journal_submit_recorder.py",
        "submit = self._journal.leases.unfinished.find(track_id, key=key)",
        "submit = None",
        "../batch/test_own_submits.py",
        "lease_is_over",
    ),
    Mutation(
        "full disk: one of two tickets is lost from memory",
        "_batch/unrecorded_results.py",
        "self._results[own] = result",
        "self._results = {own: result}",
        "../batch/test_unrecorded_results.py",
        "both_kept",
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
